import { assertGuarded } from '../../producer/access/access.ts';
import { assertListenable } from '../../producer/http/listening.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { type Config, readConfig, secretsOf } from '../../src/config/environment.ts';
import { createLogger, type Logger } from '../../src/process/log.ts';
import type { CommandContext } from '../command-context.ts';
import { UsageError } from '../exit-code.ts';
import {
  type ProcessContext,
  producerOf,
  redisOf,
  simulatorOf,
  upstreamOf,
  workerOf,
} from './process-parts.ts';
import { runProcess } from './running-process.ts';

export function runEverything(context: CommandContext): Promise<void> {
  return run(context, async (house) => {
    assertGuarded(house.config);
    await assertListenable(house.config);
    const redisUrl = await redisOf(house);
    const upstream = hasUpstream(house.config) ? upstreamOf(house.config) : await simulatorOf(house);
    await workerOf(house, redisUrl, upstream);
    context.output.line(`o3-queue ready on ${await producerOf(house, redisUrl)}`);
  });
}

export function runProducer(context: CommandContext): Promise<void> {
  return run(context, async (house) => {
    // First of all: who may not listen, or cannot, should not have fetched a Redis.
    assertGuarded(house.config);
    await assertListenable(house.config);
    context.output.line(`o3-queue producer ready on ${await producerOf(house, await redisOf(house))}`);
  });
}

export function runWorker(context: CommandContext): Promise<void> {
  return run(context, async (house) => {
    if (!hasUpstream(house.config)) {
      throw new UsageError(
        'A worker needs an upstream: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server (`o3q simulator` is one that costs nothing)',
      );
    }
    await workerOf(house, await redisOf(house), upstreamOf(house.config));
    context.output.line('o3-queue worker ready');
  });
}

export interface SimulatorChoice {
  port: number;
  host: string;
  thinkMs: number;
  background: NonNullable<SimulatorOptions['background']>;
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  webhookUrl?: string;
  webhookSecret?: string;
}

export function runSimulator(
  context: CommandContext,
  { port, host, ...options }: SimulatorChoice,
): Promise<void> {
  return run(context, async ({ keep }) => {
    const simulator = simulatorFrom(options);
    const { url } = await simulator.listen(port, host).catch((error: unknown) => {
      throw new UsageError(
        `The simulator cannot listen on ${host} port ${port} (${String(error)}). Choose another with --port`,
      );
    });
    keep({ name: 'simulator', close: () => simulator.close() });
    context.output.line(`o3-queue simulator ready on ${url}`);
  });
}

function simulatorFrom(options: SimulatorOptions): Simulator {
  try {
    return createSimulator(options);
  } catch (error: unknown) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function hasUpstream({ openai }: Config): boolean {
  return openai.apiKey !== undefined || openai.baseUrl !== undefined;
}

async function run(context: CommandContext, start: (house: ProcessContext) => Promise<void>): Promise<void> {
  const config = readConfig();
  const logger = loggerOf(config, context);
  let died: (error: Error) => void = () => {};
  const deadPart = new Promise<never>((_resolve, reject) => {
    died = reject;
  });
  const exitCode = await runProcess({
    signals: context.stopSignals(),
    shutdownMs: config.shutdownMs,
    logger,
    start: (keep) => start({ config, logger, keep, died }),
    died: deadPart,
  });
  context.exit(exitCode);
}

function loggerOf(config: Config, context: CommandContext): Logger {
  return createLogger({
    level: config.logLevel,
    secrets: secretsOf(config),
    pretty: context.notices.isTerminal,
  });
}
