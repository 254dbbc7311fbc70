import { Queue } from 'bullmq';
import type { ModelConfig } from '../config-file.ts';
import type { JobData } from '../job-request.ts';
import type { RedisClient } from '../redis/connection.ts';
import { type JobReading, readJob } from './job-view.ts';
import { keysOf, type ModelKeys } from './keys.ts';

/** One model's queue: BullMQ's, our keys beside it, and how to read a job of it. */
export interface ModelQueue {
  readonly model: string;
  readonly config: ModelConfig;
  readonly keys: ModelKeys;
  readonly bullmq: Queue<JobData>;
  read(id: string): Promise<JobReading | null>;
}

/** BullMQ keeps so many events a queue, whole: with the default of 10,000 a busy queue holds megabytes that nobody reads. */
const KEPT_EVENTS = 1000;

export function createModelQueue(
  redis: RedisClient,
  prefix: string,
  model: string,
  config: ModelConfig,
  onError: (error: Error) => void,
): ModelQueue {
  const keys = keysOf(prefix, model);
  const bullmq = new Queue<JobData>(keys.queueName, {
    connection: redis,
    prefix,
    streams: { events: { maxLen: KEPT_EVENTS } },
  });
  bullmq.on('error', onError);
  return { model, config, keys, bullmq, read: (id) => readJob(redis, keys, model, config.maxAttempts, id) };
}
