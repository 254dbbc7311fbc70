import { Queue } from 'bullmq';
import { cachedRead } from '../async/cached-read.ts';
import { derived } from '../async/derived.ts';
import { type ModelConfig, type Models, upstreamModelsOf } from '../config/file.ts';
import { type BullmqSets, createBullmqSets } from '../fair-queue/bullmq-sets.ts';
import { createFairQueue, type FairQueue } from '../fair-queue/fair-queue.ts';
import { type Compression, createCompression, wholeResponse } from '../job/fields/compression.ts';
import { publicId } from '../job/ids/response-id.ts';
import type { JobData } from '../job/request.ts';
import { KEPT_EVENTS } from '../lua/enqueue/enqueue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { keysOf, type ModelKeys } from '../redis/keys.ts';
import { createWriteProbe } from '../redis/write-probe.ts';
import { type JobReading, readJob } from './job-view.ts';
import { createWorkerRegister, type WorkerRegister } from './workers.ts';

/**
 * ModelQueue is the queue of one model: BullMQ's queue, our own keys, and the fair queue in which jobs wait
 * before BullMQ gives them to a worker.
 */
export interface ModelQueue {
  readonly model: string;
  /** The settings of the model. They may change: read them when you need them. */
  readonly config: ModelConfig;
  /** The upstream model, then its fallbacks. They may change, too. */
  readonly upstreamModels: readonly string[];
  readonly keys: ModelKeys;
  readonly bullmq: Queue<JobData>;
  /** compression is made from `compressAboveKb`, which may change. */
  readonly compression: Compression;
  /** fairQueue holds the jobs that wait for their turn. */
  readonly fairQueue: FairQueue;
  /** bullmqSets reads the jobs that have not started from BullMQ's sets. */
  readonly bullmqSets: BullmqSets;
  /** workers has the heartbeats of the workers that take this model's jobs. */
  readonly workers: WorkerRegister;
  /** read returns the view of the job with this BullMQ id (not the public id); null when there is none. */
  read(id: string): Promise<JobReading | null>;
  /**
   * response returns the JSON of the response of the job with this BullMQ id, in UTF-8; null when there is
   * none.
   *
   * @throws {QueueError} `answer_damaged`
   */
  response(id: string): Promise<Buffer | null>;
}

/** The shortest time between two probes of Redis by reads of waiting jobs, in milliseconds. */
const PROBE_EVERY_MS = 1000;

/** @param settings may change; each field is read when it is needed. */
export function createModelQueue(
  redis: RedisClient,
  prefix: string,
  model: string,
  settings: Pick<Models, 'models' | 'tenants' | 'compressAboveKb'>,
  onError: (error: Error) => void,
): ModelQueue {
  const config = (): ModelConfig => {
    const found = settings.models[model];
    if (found === undefined) throw new Error(`expected a configured model, got ${model}`);
    return found;
  };
  const upstreamModels = derived(config, upstreamModelsOf);
  const compression = derived(() => settings.compressAboveKb, createCompression);
  const keys = keysOf(prefix, model);
  const bullmq = new Queue<JobData>(keys.queueName, {
    connection: redis,
    prefix,
    streams: { events: { maxLen: KEPT_EVENTS } },
  });
  bullmq.on('error', onError);
  const fairQueue = createFairQueue(redis, keys, settings);
  const bullmqSets = createBullmqSets(redis, keys);
  const redisTrouble = cachedRead(createWriteProbe(redis, prefix), PROBE_EVERY_MS);
  return {
    model,
    get config() {
      return config();
    },
    get upstreamModels() {
      return upstreamModels();
    },
    keys,
    bullmq,
    get compression() {
      return compression();
    },
    fairQueue,
    bullmqSets,
    workers: createWorkerRegister(redis, keys),
    read(id) {
      const { maxAttempts } = config();
      const { tenants } = settings;
      return readJob(id, { redis, keys, model, maxAttempts, tenants, redisTrouble });
    },
    async response(id) {
      const stored = await redis.getBuffer(keys.response(id));
      return stored === null ? null : wholeResponse(stored, publicId(model, id));
    },
  };
}
