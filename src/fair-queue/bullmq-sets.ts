import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { DELAYED_SCORE, WAITING_SCORE } from './parked.ts';

/**
 * UnstartedStatus is our status of the jobs that have not started. BullMQ's sets are divided differently:
 * BullMQ calls a job in the fair queue `delayed`, and keeps jobs with a priority in a set of their own.
 */
export type UnstartedStatus = 'waiting' | 'delayed';

/** BullmqSets reads the jobs of a model that have not started from BullMQ's sets, for the board. */
export interface BullmqSets {
  /** parkedCount returns the number of parked jobs. */
  parkedCount(): Promise<number>;
  /**
   * ids returns the jobs' ids in BullMQ: for waiting jobs, the newest first; for delayed jobs, the job that
   * is due last comes first.
   */
  ids(part: UnstartedStatus, offset?: number, count?: number): Promise<string[]>;
}

const ALL = Number.MAX_SAFE_INTEGER;

/** Section is one of the sets that hold the jobs of one status. */
interface Section {
  length(): Promise<number>;
  ids(offset: number, count: number): Promise<string[]>;
}

export function createBullmqSets(redis: RedisClient, keys: ModelKeys): BullmqSets {
  const dueKey = keys.fairQueue('due');
  const [delayedKey, waitKey, prioritizedKey, parentsKey] = [
    keys.queue('delayed'),
    keys.queue('wait'),
    keys.queue('prioritized'),
    keys.queue('waiting-children'),
  ];
  const fairQueue: Section = {
    length: () => redis.zcount(delayedKey, WAITING_SCORE, `(${DELAYED_SCORE}`),
    ids: (offset, count) =>
      redis.zrevrangebyscore(delayedKey, `(${DELAYED_SCORE}`, WAITING_SCORE, 'LIMIT', offset, count),
  };
  // These jobs were started but not yet taken by a worker, or are about to enter the fair queue.
  const wait: Section = {
    length: () => redis.llen(waitKey),
    ids: (offset, count) => redis.lrange(waitKey, offset, offset + count - 1),
  };
  const prioritized: Section = {
    length: () => redis.zcard(prioritizedKey),
    ids: (offset, count) => redis.zrevrange(prioritizedKey, offset, offset + count - 1),
  };
  // A flow's parents, which wait for their children.
  const parents: Section = {
    length: () => redis.zcard(parentsKey),
    ids: (offset, count) => redis.zrevrange(parentsKey, offset, offset + count - 1),
  };
  const delayed: Section = {
    length: () => redis.zcard(dueKey),
    ids: (offset, count) => redis.zrevrange(dueKey, offset, offset + count - 1),
  };
  // Jobs of other BullMQ clients, and jobs that BullMQ itself delays after an unexpected error.
  const delayedByBullmq: Section = {
    length: () => redis.zcount(delayedKey, '-inf', `(${WAITING_SCORE}`),
    ids: (offset, count) =>
      redis.zrevrangebyscore(delayedKey, `(${WAITING_SCORE}`, '-inf', 'LIMIT', offset, count),
  };
  const sections = { waiting: [fairQueue, wait, prioritized, parents], delayed: [delayed, delayedByBullmq] };
  return {
    parkedCount: fairQueue.length,
    async ids(part, offset = 0, count = ALL) {
      const found: string[] = [];
      let skipped = 0;
      for (const section of sections[part]) {
        const length = await section.length();
        const begin = Math.max(0, offset - skipped);
        if (begin < length && found.length < count) {
          found.push(...(await section.ids(begin, Math.min(length, count - found.length))));
        }
        skipped += length;
      }
      // A job that moved from one set to another between the reads is found twice.
      return [...new Set(found)];
    },
  };
}
