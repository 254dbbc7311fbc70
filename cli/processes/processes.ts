import { assertKeysOrLoopback } from '../../producer/access/access.ts';
import { assertListenable } from '../../producer/http/listening.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../simulator/simulator.ts';
import { createLiveConfig, type LiveConfig } from '../../src/config/live/live-config.ts';
import { watchConfig } from '../../src/config/live/watch.ts';
import { createProcessMetrics } from '../../src/metrics/process-metrics.ts';
import { createLogger, type Logger } from '../../src/process/log.ts';
import { flushSpans, outsideTraces } from '../../src/tracing/span-context.ts';
import type { CommandContext } from '../command-context.ts';
import { UsageError } from '../exit-code.ts';
import {
  configuredUpstream,
  hasUpstream,
  launchProducer,
  launchWorker,
  type ProcessContext,
  startRedis,
  startSimulator,
} from './process-parts.ts';
import { runProcess } from './running-process.ts';

export function runEverything(context: CommandContext): Promise<void> {
  return run(context, async (processContext) => {
    assertKeysOrLoopback(processContext.config);
    await assertListenable(processContext.config);
    const redisUrl = await startRedis(processContext);
    const upstream = hasUpstream(processContext.config)
      ? configuredUpstream(processContext.config)
      : await startSimulator(processContext);
    await launchWorker(processContext, redisUrl, upstream);
    context.output.line(`o3-queue ready on ${await launchProducer(processContext, redisUrl, upstream)}`);
  });
}

export function runProducer(context: CommandContext): Promise<void> {
  return run(context, async (processContext) => {
    // These checks come before the start of Redis: a producer that may not or cannot listen must not start an
    // embedded Redis.
    assertKeysOrLoopback(processContext.config);
    await assertListenable(processContext.config);
    const { config } = processContext;
    const upstream = hasUpstream(config) ? configuredUpstream(config) : undefined;
    const url = await launchProducer(processContext, await startRedis(processContext), upstream);
    context.output.line(`o3-queue producer ready on ${url}`);
  });
}

export function runWorker(context: CommandContext): Promise<void> {
  return run(context, async (processContext) => {
    if (!hasUpstream(processContext.config)) {
      throw new UsageError(
        'A worker needs an upstream: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server. ' +
          '`o3q simulator` is a server that costs nothing.',
      );
    }
    await launchWorker(
      processContext,
      await startRedis(processContext),
      configuredUpstream(processContext.config),
    );
    context.output.line('o3-queue worker ready');
  });
}

export interface SimulatorChoice {
  port: number;
  host: string;
  thinkMs: number;
  paid?: true;
  background: NonNullable<SimulatorOptions['background']>;
  requestsPerMinute?: number;
  tokensPerMinute?: number;
  windowScale?: number;
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
        `The simulator cannot listen on ${host} port ${port} (${String(error)}): choose another with --port`,
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

/** How long the process waits for a collector of traces before it ends, in milliseconds. */
const FLUSH_MS = 1000;

async function run(
  context: CommandContext,
  start: (processContext: ProcessContext) => Promise<void>,
): Promise<void> {
  const live = createLiveConfig();
  const { config, troubles } = live;
  const logger = loggerOf(live, context);
  const watch = watchConfig(live, logger);
  const { onChange } = watch;
  const metrics = createProcessMetrics({ ofNode: true, isConfigRefused: () => live.isRefused });
  let died: (error: Error) => void = () => {};
  const deadPart = new Promise<never>((_resolve, reject) => {
    died = reject;
  });
  const exitCode = await runProcess({
    signals: context.stopSignals(watch.reload),
    shutdownMs: config.shutdownMs,
    logger,
    // What the parts do all the time belongs to no trace.
    start: (keep) => outsideTraces(() => start({ config, onChange, troubles, metrics, logger, keep, died })),
    died: deadPart,
  });
  watch.stop();
  await flushSpans(FLUSH_MS);
  context.exit(exitCode);
}

function loggerOf(live: LiveConfig, context: CommandContext): Logger {
  return createLogger({
    level: live.config.logLevel,
    get secrets() {
      return live.secrets;
    },
    pretty: context.notices.isTerminal,
  });
}
