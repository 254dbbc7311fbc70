import { Queue } from 'bullmq';
import { type ModelConfig, type Models, upstreamModelsOf } from '../config/file.ts';
import { type BullmqSets, createBullmqSets } from '../fair-queue/bullmq-sets.ts';
import { createFairQueue, type FairQueue } from '../fair-queue/fair-queue.ts';
import type { JobData } from '../job/request.ts';
import type { RedisClient } from '../redis/connection.ts';
import { keysOf, type ModelKeys } from '../redis/keys.ts';
import { type JobReading, readJob } from './job-view.ts';

/** One model's queue: BullMQ's, our keys beside it, and how to read a job of it. */
export interface ModelQueue {
  readonly model: string;
  readonly config: ModelConfig;
  /** The upstream's names of it: of the model itself, then of its fallbacks. */
  readonly upstreamModels: readonly string[];
  readonly keys: ModelKeys;
  readonly bullmq: Queue<JobData>;
  /** Where its jobs wait for their turn. */
  readonly fairQueue: FairQueue;
  /** What has not begun, as BullMQ's sets hold it. */
  readonly bullmqSets: BullmqSets;
  read(id: string): Promise<JobReading | null>;
}

/** BullMQ keeps so many events a queue, whole: with the default of 10,000 a busy queue holds megabytes that nobody reads. */
const KEPT_EVENTS = 1000;

export function createModelQueue(
  redis: RedisClient,
  prefix: string,
  model: string,
  { models, tenants }: Pick<Models, 'models' | 'tenants'>,
  onError: (error: Error) => void,
): ModelQueue {
  const config = models[model];
  if (config === undefined) throw new Error(`expected a configured model, got ${model}`);
  const keys = keysOf(prefix, model);
  const bullmq = new Queue<JobData>(keys.queueName, {
    connection: redis,
    prefix,
    streams: { events: { maxLen: KEPT_EVENTS } },
  });
  bullmq.on('error', onError);
  const fairQueue = createFairQueue(redis, keys, tenants);
  const bullmqSets = createBullmqSets(redis, keys);
  const readOptions = { redis, keys, model, maxAttempts: config.maxAttempts, tenants };
  const upstreamModels = upstreamModelsOf(config);
  return {
    model,
    config,
    upstreamModels,
    keys,
    bullmq,
    fairQueue,
    bullmqSets,
    read: (id) => readJob(id, readOptions),
  };
}
