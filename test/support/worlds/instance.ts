import { pino } from 'pino';
import { type Producer, startProducer } from '../../../producer/producer.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../../simulator/simulator.ts';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import { defaultHttp, defaultModels, type HttpConfig, type Models } from '../../../src/config/file.ts';
import type { UpstreamAddress } from '../../../src/config/upstream-address.ts';
import type { ProcessMetrics } from '../../../src/metrics/process-metrics.ts';
import { createLogger, type Logger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import type { Ack } from '../../../src/redis/ack/level.ts';
import type { UpstreamOptions } from '../../../worker/upstream/client.ts';
import type { WebhooksOutOptions } from '../../../worker/webhooks/webhooks.ts';
import { type O3Worker, startWorker } from '../../../worker/worker.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';

export interface InstanceOptions {
  /** Default: one model, o3, with short backoffs. */
  models?: Partial<Models>;
  simulator?: SimulatorOptions;
  /** The number of workers at the start. Default 1. */
  workers?: number;
  /** Default: a Redis of its own. */
  redis?: TestRedis;
  /** The URL by which producer and workers reach Redis. Default: the URL of `redis`. */
  redisUrl?: string;
  /** Default: `memory`. */
  ack?: Ack;
  /** Default 100. */
  concurrency?: number;
  /** The secret of OpenAI's webhooks. Default: the producer accepts none. */
  webhookSecret?: string;
  /** Webhooks to callers are delivered, also to this machine. Default: they are refused. */
  webhooksOut?: WebhooksOutOptions;
  /** The keys of callers. Default: none, so that every caller may do everything. */
  keys?: readonly ApiKey[];
  /** How callers reach the producer. Default: as in production. */
  http?: Partial<HttpConfig>;
  /** Replaces options of the workers' upstream. Default: the simulator. */
  upstream?: Partial<UpstreamOptions>;
  /** See AppOptions. Default: as in production. */
  headersMs?: number;
  /** See MountOptions. Default: as in production. */
  keepAliveMs?: number;
  /** The metrics that the producer and the first worker share, as in one process. Default: each has its own. */
  metrics?: ProcessMetrics;
  /** Replaces parts of the producer's upstream; null: it has none. Default: the workers' upstream. */
  producerUpstream?: Partial<UpstreamAddress> | null;
}

/** A whole o3-queue in this process: a real Redis, producer, workers and the simulator as their upstream. */
export interface Instance {
  /** The URL of the producer. */
  url: string;
  redis: TestRedis;
  simulator: Simulator;
  /** The simulator's base URL. */
  upstreamUrl: string;
  models: Models;
  producer: Producer;
  workers: O3Worker[];
  /** Every log line of producer and workers, at debug level. */
  logLines: string[];
  addWorker(): O3Worker;
  /** Stops a worker as SIGTERM does. */
  stopWorker(worker: O3Worker): Promise<boolean>;
  stop(): Promise<void>;
}

const SHUTDOWN_MS = 5000;

export async function startInstance(options: InstanceOptions = {}): Promise<Instance> {
  const redis = options.redis ?? (await startTestRedis());
  const simulator = createSimulator({ thinkMs: 30, paid: true, ...options.simulator });
  const upstreamUrl = (await simulator.listen(0)).url;
  const models = {
    ...quickModels(),
    allowPrivateWebhooks: options.webhooksOut !== undefined,
    ...options.models,
  };
  const upstream = { apiKey: 'sk-test-key', baseUrl: upstreamUrl, ...options.upstream };
  const logLines: string[] = [];
  const logger = loggerInto(logLines);
  const settings = {
    ...models,
    http: { ...defaultHttp(), ...options.http },
    ...(options.keys !== undefined && { keys: options.keys }),
  };
  const { redisUrl = redis.url, ack = 'memory' } = options;
  const common = { settings, redisUrl, prefix: 'o3q', ack, logger };
  const producer = await startProducer({
    ...common,
    host: '127.0.0.1',
    port: 0,
    webhookSecret: options.webhookSecret,
    webhooksOut: options.webhooksOut !== undefined,
    ...(options.headersMs !== undefined && { headersMs: options.headersMs }),
    ...(options.keepAliveMs !== undefined && { keepAliveMs: options.keepAliveMs }),
    ...(options.metrics !== undefined && { metrics: options.metrics }),
    upstream: options.producerUpstream === null ? undefined : { ...upstream, ...options.producerUpstream },
  });
  const workers: O3Worker[] = [];

  const instance: Instance = {
    url: producer.url,
    redis,
    simulator,
    upstreamUrl,
    models,
    producer,
    workers,
    logLines,
    addWorker() {
      const worker = startWorker({
        ...common,
        concurrency: options.concurrency ?? 100,
        upstream,
        webhooksOut: options.webhooksOut,
        ...(options.metrics !== undefined && { metrics: options.metrics }),
      });
      workers.push(worker);
      return worker;
    },
    stopWorker(worker) {
      workers.splice(workers.indexOf(worker), 1);
      return stopParts([worker]);
    },
    async stop() {
      await stopParts([producer, ...workers]);
      await simulator.close();
      if (options.redis === undefined) await redis.stop();
    },
  };
  for (let i = 0; i < (options.workers ?? 1); i += 1) instance.addWorker();
  await Promise.all(workers.map(({ alive }) => alive));
  return instance;
}

/**
 * quickModels is o3 with backoffs of milliseconds, and without fallbacks: the day on which the simulator's o3
 * is shut down changes no test.
 */
export function quickModels(): Models {
  const models = defaultModels();
  const o3 = models.models['o3'];
  if (o3 === undefined) throw new Error('the default configuration was expected to have o3');
  const completionWindows = { '2h': 0.3, '8h': 0.4 };
  const backoff = { baseMs: 10, maxMs: 50 };
  return { ...models, models: { o3: { ...o3, fallbacks: [], backoff, completionWindows } } };
}

function stopParts(parts: (Producer | O3Worker)[]): Promise<boolean> {
  return shutDown(parts, { deadlineMs: SHUTDOWN_MS, hurry: new AbortController().signal });
}

function loggerInto(lines: string[]): Logger {
  const destination = { write: (line: string) => void lines.push(line) };
  return createLogger({
    level: pino.levels.labels[20] ?? 'debug',
    secrets: ['sk-test-key'],
    pretty: false,
    destination,
  });
}
