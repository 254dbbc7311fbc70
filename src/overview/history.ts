import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { serverTime } from '../redis/server-time.ts';
import { utcDay } from '../usage/utc-day.ts';

/** SAMPLE_EVERY_MS is the time between two samples of a model, in milliseconds. */
export const SAMPLE_EVERY_MS = 300_000;
/** How long the samples of a day are kept after the last one, in seconds. */
const KEPT_S = 8 * 86_400;
const DAY_MS = 86_400_000;

/** Sample is how a model stood at one time, and what had ended in the five minutes before it. */
export interface Sample {
  /** In Unix milliseconds, a multiple of `SAMPLE_EVERY_MS`. */
  at: number;
  /** Jobs in the fair queue. */
  waiting: number;
  active: number;
  completed: number;
  /** Jobs that had failed or were cancelled. */
  failed: number;
}

/**
 * recordSample writes the sample of the latest five minutes that are over, unless it is there. All workers do
 * it: the first one writes, and the others change nothing.
 *
 * @param now the time on the clock of Redis, in Unix milliseconds.
 */
export async function recordSample(
  redis: RedisClient,
  { keys, bullmqSets }: Pick<ModelQueue, 'keys' | 'bullmqSets'>,
  now = serverTime(redis),
): Promise<void> {
  const at = now - (now % SAMPLE_EVERY_MS);
  const key = keys.history(utcDay(at));
  if ((await redis.hexists(key, String(at))) === 1) return;
  // BullMQ's sets are sorted by the time of the end, so that these counts cost no more with more jobs.
  const endedIn = (set: 'completed' | 'failed'): Promise<number> =>
    redis.zcount(keys.queue(set), at - SAMPLE_EVERY_MS, `(${at}`);
  const values = await Promise.all([
    bullmqSets.parkedCount(),
    redis.llen(keys.queue('active')),
    endedIn('completed'),
    endedIn('failed'),
  ]);
  await redis.multi().hsetnx(key, String(at), values.join(' ')).expire(key, KEPT_S).exec();
}

/**
 * readHistory reads the samples of a model since a time, earliest first. Times at which no worker was running
 * have no sample.
 *
 * @param since in Unix milliseconds.
 */
export async function readHistory(
  redis: RedisClient,
  { keys }: Pick<ModelQueue, 'keys'>,
  since: number,
): Promise<Sample[]> {
  const days: string[] = [];
  for (let at = since; utcDay(at) <= utcDay(serverTime(redis)); at += DAY_MS) days.push(utcDay(at));
  const hashes = await Promise.all(days.map((day) => redis.hgetall(keys.history(day))));
  return hashes
    .flatMap((hash) => Object.entries(hash))
    .map(([time, values]): Sample => {
      const [waiting = 0, active = 0, completed = 0, failed = 0] = values.split(' ').map(Number);
      return { at: Number(time), waiting, active, completed, failed };
    })
    .filter(({ at }) => at > since)
    .sort((one, other) => one.at - other.at);
}
