import { warnOfKeys } from '../../producer/access/access.ts';
import { startProducer } from '../../producer/producer.ts';
import { DEFAULT_MODELS } from '../../simulator/models/models.ts';
import { createSimulator } from '../../simulator/simulator.ts';
import type { Config } from '../../src/config/environment.ts';
import type { UpstreamAddress } from '../../src/config/upstream-address.ts';
import { RedisUnavailableError } from '../../src/errors/setup-error.ts';
import type { ProcessMetrics } from '../../src/metrics/process-metrics.ts';
import type { Logger } from '../../src/process/log.ts';
import type { Stoppable } from '../../src/process/shutdown.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { startEmbeddedRedis } from '../../src/redis/embedded/embedded-redis.ts';
import { assertRedisUsable } from '../../src/redis/usable.ts';
import { startWorkerHealth } from '../../worker/health.ts';
import { type O3Worker, startWorker, type WorkerOptions } from '../../worker/worker.ts';

/** Folders of the embedded Redis, below the folder in which the process was started. */
const DATA_DIR = '.data/redis';
const CACHE_DIR = '.cache/embedded-redis';
/** At this scale the simulator takes eight seconds for a completion window of eight hours. */
const WINDOW_SCALE = 3600;

/** ProcessContext holds what is needed to start the parts of one process. */
export interface ProcessContext {
  /** It may change while the process runs: keep this object, and read a field when it is needed. */
  config: Config;
  /** Calls a function after each change of the configuration. */
  onChange: (listener: () => void) => void;
  /** Says in sentences for `/readyz` what is wrong with the process itself. */
  troubles: () => string[];
  /** The metrics of the process: where a producer and a worker run together, both tell those of both. */
  metrics: ProcessMetrics;
  logger: Logger;
  /** Registers a part that runs, so that it is closed when the process ends. */
  keep: <Part extends Stoppable>(part: Part) => Part;
  /** Ends the process because a part has died. */
  died: (error: Error) => void;
}

/**
 * startRedis starts the embedded Redis if no other is configured, and checks that Redis is usable before
 * other parts are built on it.
 *
 * @returns the URL of Redis.
 */
export async function startRedis(context: ProcessContext): Promise<string> {
  const { config, logger } = context;
  const url = config.redisUrl ?? (await embeddedRedis(context));
  const client = connectRedis(url, 'fail-fast', {
    onError: (error) => logger.debug({ error: error.message }, 'Redis connection'),
  });
  try {
    await assertRedisUsable(client, url, {
      warn: (sentence) => logger.warn(sentence),
      prefix: config.prefix,
      ack: config.ack,
    });
  } finally {
    client.disconnect();
  }
  return url;
}

async function embeddedRedis({ config, logger, keep, died }: ProcessContext): Promise<string> {
  const redis = await startEmbeddedRedis({
    dataDir: DATA_DIR,
    cacheDir: CACHE_DIR,
    protect: true,
    download: config.redisDownload,
    ...(config.redisBinary !== undefined && { binary: config.redisBinary }),
    log: (line) => logger.info(line),
  });
  logger.info(redis.description);
  keep({ name: 'embedded Redis', close: redis.stop });
  redis.exited.then(({ expected, logTail }) => {
    if (!expected)
      died(new RedisUnavailableError(`The embedded Redis has died. The end of its log:\n${logTail}`));
  }, died);
  return redis.url;
}

/** hasUpstream returns whether an upstream is configured. */
export function hasUpstream({ openai }: Config): boolean {
  return openai.apiKey !== undefined || openai.baseUrl !== undefined;
}

/** configuredUpstream returns the upstream of the configuration. Its key is read anew whenever it is asked for. */
export function configuredUpstream(config: Config): WorkerOptions['upstream'] {
  const { baseUrl, proxy, webhookSecret } = config.openai;
  return {
    get apiKey() {
      return config.openai.apiKey;
    },
    ...{ baseUrl, proxy, webhooks: webhookSecret !== undefined },
  };
}

/**
 * startSimulator starts a stand-in for the model, for an instance without an upstream. Its models have no
 * shutdown date: the first question of a newcomer is about o3, also after OpenAI has shut o3 down. An answer
 * in a completion window comes within seconds, as every other answer does.
 */
export async function startSimulator({ logger, keep }: ProcessContext): Promise<WorkerOptions['upstream']> {
  const models = DEFAULT_MODELS.map(({ shutdownDate: _, ...model }) => model);
  const simulator = createSimulator({ models, windowScale: WINDOW_SCALE });
  const { url } = await simulator.listen(0);
  keep({ name: 'simulator', close: () => simulator.close() });
  logger.warn(
    'OPENAI_API_KEY and OPENAI_BASE_URL are not set: THE ANSWERS ARE SIMULATED ' +
      `by a stand-in at ${url}, which asks no model and costs nothing`,
  );
  return { apiKey: undefined, baseUrl: url };
}

/** launchWorker starts a worker, after the server of its health if that is configured. */
export async function launchWorker(
  { config, onChange, troubles, metrics, logger, keep }: ProcessContext,
  redisUrl: string,
  upstream: WorkerOptions['upstream'],
): Promise<void> {
  const { prefix, ack, concurrency, workerPort, host, signingSecret } = config;
  if (config.hasBuiltInModels && hasUpstream(config)) logBuiltInFallbacks(config, logger);
  let worker: O3Worker | undefined;
  // The port is opened first: a worker that cannot listen must not take jobs.
  if (workerPort !== undefined) keep(await startWorkerHealth(() => worker, host, workerPort, troubles));
  const launched = keep(
    startWorker({
      settings: config,
      redisUrl,
      prefix,
      ack,
      concurrency,
      upstream,
      webhooksOut: signingSecret === undefined ? undefined : { secret: signingSecret },
      metrics,
      logger: logger.child({ part: 'worker' }),
    }),
  );
  // The start waits for the first heartbeat. Otherwise someone who looks at the instance at once could find
  // that no worker is running.
  await launched.alive;
  let usedKey = config.openai.apiKey;
  onChange(() => {
    const { apiKey } = config.openai;
    if (apiKey === undefined || apiKey === usedKey) return;
    usedKey = apiKey;
    launched.useKey(apiKey);
  });
  worker = launched;
}

/**
 * Logs the built-in fallbacks at `info`. The warning that a model is about to be shut down comes from
 * worker/maintenance/model-catalog.ts.
 */
function logBuiltInFallbacks({ models }: Config, logger: Logger): void {
  for (const [model, { fallbacks }] of Object.entries(models)) {
    logger.info(
      { model, fallbacks, setting: `models.${model}.fallbacks` },
      'built-in fallbacks answer, at their own prices, once the upstream lacks the model',
    );
  }
}

/**
 * launchProducer starts a producer. @returns the URL on which it listens.
 * @param upstream where the calls go that cannot be jobs; undefined: the producer refuses them.
 */
export async function launchProducer(
  { config, onChange, troubles, metrics, logger, keep }: ProcessContext,
  redisUrl: string,
  upstream: UpstreamAddress | undefined,
): Promise<string> {
  const { prefix, ack, host, port, openai } = config;
  const producer = await startProducer({
    settings: config,
    redisUrl,
    prefix,
    ack,
    host,
    port,
    webhookSecret: openai.webhookSecret,
    webhooksOut: config.signingSecret !== undefined,
    upstream,
    troubles,
    metrics,
    logger: logger.child({ part: 'producer' }),
  });
  let { keys, tenants } = config;
  onChange(() => {
    // What has not changed is the same object.
    if (config.keys === keys && config.tenants === tenants) return;
    ({ keys, tenants } = config);
    warnOfKeys(config, logger);
  });
  return keep(producer).url;
}
