import { Redis } from 'ioredis';
import { startProducer } from '../../../producer/producer.ts';
import { createSimulator, type Simulator, type SimulatorOptions } from '../../../simulator/simulator.ts';
import type { Models } from '../../../src/config/file.ts';
import type { UpstreamHeaders } from '../../../src/job/fields/upstream-headers.ts';
import { isFinishedJob } from '../../../src/job/job.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { FinishedJob, JobView } from '../../../src/job/view.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf, type ModelKeys } from '../../../src/redis/keys.ts';
import type { Recovery } from '../../../worker/job-worker.ts';
import type { Patience } from '../../../worker/upstream/create.ts';
import type { WebhooksOutOptions } from '../../../worker/webhooks/webhooks.ts';
import { type O3Worker, startWorker } from '../../../worker/worker.ts';
import { eventually } from '../eventually.ts';
import { openUpstreamGate, type UpstreamGate } from '../openai/upstream-gate.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';
import { TIME_LIMIT_MS } from '../time-limit.ts';
import { quickModels } from './instance.ts';

/**
 * For tests of locks that run out. On a busy machine such a lock may also run out under a worker that lives.
 */
export const QUICK_RECOVERY: Recovery = { lockMs: 1000, stalledMs: 200 };
const SHUTDOWN_MS = 5000;
const WEBHOOK_SECRET = `whsec_${Buffer.from('a secret for tests only').toString('base64')}`;

type Entry = ReturnType<Simulator['ledger']['entries']>[number];

/** WorkerWorld is workers, a queue and a simulator on a Redis of their own, without a producer. */
export interface WorkerWorld {
  redis: TestRedis;
  /** A client for reading Redis, and for damaging it on purpose. */
  client: Redis;
  simulator: Simulator;
  upstreamUrl: string;
  /** Between the workers and the simulator. */
  gate: UpstreamGate;
  queue: InstanceQueue;
  models: Models;
  workers: O3Worker[];
  logLines: string[];
  addWorker(options?: WorkerWorldOptions): O3Worker;
  /** Stops a worker as SIGTERM does; false when not everything was closed before the deadline. */
  stopWorker(worker: O3Worker, deadlineMs?: number): Promise<boolean>;
  /** Enqueues a question; its metadata tells the simulator what to do. */
  ask(question: string, metadata?: Record<string, string>, options?: AskOptions): Promise<JobView>;
  /** Resolves with the job when it is finished; fails with the job that it saw. */
  finished(id: string, limitMs?: number): Promise<FinishedJob>;
  /** Resolves with the job when the id of its response is in its record; it may have ended since. */
  purchased(id: string): Promise<{ upstream_id: string }>;
  /** Resolves with the job when it has a response at the upstream, and has not ended. */
  running(id: string): Promise<JobView & { status: 'active' }>;
  answer(id: string): Promise<string | null>;
  /** Resolves when the queue can use Redis again. */
  reconnected(): Promise<void>;
  /** The purchases for a question, oldest first. */
  bought(question: string): Entry[];
  model(name?: string): ModelQueue;
  keys: ModelKeys;
  stop(): Promise<void>;
}

export interface AskOptions {
  stream?: boolean;
  timeout_ms?: number;
  deadline?: string;
  needed_by?: string;
  on_late?: 'wait' | 'buy_again';
  max_attempts?: number;
  delay_ms?: number;
  priority?: number;
  model?: string;
  webhook_url?: string;
  upstream_headers?: UpstreamHeaders;
}

export interface WorkerWorldOptions {
  models?: Partial<Models>;
  simulator?: SimulatorOptions;
  redis?: TestRedis;
  /** Default 1. */
  workers?: number;
  /** Default 100. */
  concurrency?: number;
  patience?: Partial<Patience>;
  /** Default: as in production. */
  recovery?: Recovery;
  apiKey?: string;
  /** Whether the gate stands before the upstream. Default true. */
  gated?: boolean;
  /** Whether the simulator sends webhooks to a producer. Default false. */
  webhooks?: boolean;
  /** Whether the workers deliver webhooks to callers, also on this machine. Default: they do not. */
  webhooksOut?: WebhooksOutOptions | undefined;
  publicUrl?: string | undefined;
}

export async function startWorkerWorld(options: WorkerWorldOptions = {}): Promise<WorkerWorld> {
  const redis = options.redis ?? (await startTestRedis());
  const models = {
    ...quickModels(),
    allowPrivateWebhooks: options.webhooksOut !== undefined,
    ...options.models,
  };
  const logLines: string[] = [];
  const destination = { write: (line: string) => void logLines.push(line) };
  const logger = createLogger({ level: 'debug', secrets: [], pretty: false, destination });
  const producer = options.webhooks
    ? await startProducer({
        settings: models,
        redisUrl: redis.url,
        prefix: 'o3q',
        host: '127.0.0.1',
        port: 0,
        logger,
        webhookSecret: WEBHOOK_SECRET,
      })
    : undefined;
  const simulator = createSimulator({
    thinkMs: 30,
    paid: true,
    ...(producer && { webhookUrl: `${producer.url}/webhooks/openai`, webhookSecret: WEBHOOK_SECRET }),
    ...options.simulator,
  });
  const upstreamUrl = (await simulator.listen(0)).url;
  const gate = await openUpstreamGate(upstreamUrl);
  const queue = new InstanceQueue({
    ...models,
    redisUrl: redis.url,
    webhooksOut: options.webhooksOut !== undefined,
  });
  const workers: O3Worker[] = [];

  const client = new Redis(redis.url, { maxRetriesPerRequest: null });
  client.on('error', (error: Error) => logLines.push(`client: ${error.message}`));

  const world: WorkerWorld = {
    redis,
    client,
    simulator,
    upstreamUrl,
    gate,
    queue,
    models,
    workers,
    logLines,
    keys: keysOf('o3q', models.defaultModel),
    addWorker(own = {}) {
      const merged = { ...options, ...own };
      const {
        concurrency = 100,
        patience = {},
        recovery,
        apiKey = 'sk-test',
        webhooksOut,
        publicUrl,
        gated = true,
      } = merged;
      const worker = startWorker({
        settings: { ...models, http: { publicUrl } },
        redisUrl: redis.url,
        prefix: 'o3q',
        logger,
        concurrency,
        upstream: {
          apiKey,
          baseUrl: gated ? gate.url : upstreamUrl,
          patience,
          webhooks: producer !== undefined,
        },
        webhooksOut,
        ...(recovery && { recovery }),
      });
      workers.push(worker);
      return worker;
    },
    stopWorker(worker, deadlineMs = SHUTDOWN_MS) {
      workers.splice(workers.indexOf(worker), 1);
      return shutDown([worker], { deadlineMs, hurry: new AbortController().signal });
    },
    async ask(question, metadata = {}, more = {}) {
      return (await queue.enqueue(parseJobRequest({ question, metadata, ...more }))).job;
    },
    async finished(id, limitMs = TIME_LIMIT_MS) {
      const job = await queue.wait(id, { timeoutMs: limitMs });
      if (isFinishedJob(job)) return job;
      throw new Error(`expected job ${id} to finish within ${limitMs} ms, but it is ${JSON.stringify(job)}`);
    },
    purchased: (id) =>
      eventually(async () => {
        const job = await queue.get(id);
        if ('upstream_id' in job && job.upstream_id !== null) return { upstream_id: job.upstream_id };
        throw new Error(`expected job ${id} to have had a response, but it is ${JSON.stringify(job)}`);
      }),
    running: (id) =>
      eventually(async () => {
        const job = await queue.get(id);
        if (job?.status === 'active' && job.upstream_id !== null) return job;
        throw new Error(`expected job ${id} to have a response, but it is ${JSON.stringify(job)}`);
      }),
    async answer(id) {
      const reading = await queue.result(id);
      if (reading.status === 'completed') return reading.result.answer;
      throw new Error(`expected job ${id} to be completed, but it is ${JSON.stringify(reading.job)}`);
    },
    reconnected: () => eventually(() => queue.ping()),
    bought: (question) => simulator.ledger.entries().filter((entry) => entry.question === question),
    model(name = models.defaultModel) {
      const found = queue.queues.find(({ model }) => model === name);
      if (found === undefined) throw new Error(`expected a model ${name}`);
      return found;
    },
    async stop() {
      await shutDown([...workers, ...(producer ? [producer] : [])], {
        deadlineMs: SHUTDOWN_MS,
        hurry: new AbortController().signal,
      });
      await queue.close();
      client.disconnect();
      await gate.close();
      await simulator.close();
      if (options.redis === undefined) await redis.stop();
    },
  };
  for (let i = 0; i < (options.workers ?? 1); i += 1) world.addWorker();
  await Promise.all(workers.map(({ alive }) => alive));
  return world;
}
