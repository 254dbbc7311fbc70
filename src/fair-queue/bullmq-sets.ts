import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { DELAYED_SCORE, WAITING_SCORE } from './parked.ts';

/** What has not begun, in our words: BullMQ calls what stands in the line `delayed`, and keeps what has a priority in a set of its own. */
export type BullmqSet = 'waiting' | 'delayed';

/** The jobs of a model that have not begun, for who shows BullMQ's sets to people. */
export interface BullmqSets {
  /** How many stand in the line. */
  fairQueueLength(): Promise<number>;
  /** Their ids in BullMQ: of those that wait the newest first, of delayed ones those that are due last. */
  ids(part: BullmqSet, offset?: number, count?: number): Promise<string[]>;
}

const ALL = Number.MAX_SAFE_INTEGER;

/** One of the sets that a part is made of. */
interface Section {
  length(): Promise<number>;
  ids(offset: number, count: number): Promise<string[]>;
}

export function createBullmqSets(redis: RedisClient, keys: ModelKeys): BullmqSets {
  const dueKey = keys.fairQueue('due');
  const [delayedKey, waitKey, prioritizedKey] = [
    keys.queue('delayed'),
    keys.queue('wait'),
    keys.queue('prioritized'),
  ];
  const line: Section = {
    length: () => redis.zcount(delayedKey, WAITING_SCORE, `(${DELAYED_SCORE}`),
    ids: (offset, count) =>
      redis.zrevrangebyscore(delayedKey, `(${DELAYED_SCORE}`, WAITING_SCORE, 'LIMIT', offset, count),
  };
  // Granted and not taken yet, or on its way into the line.
  const wait: Section = {
    length: () => redis.llen(waitKey),
    ids: (offset, count) => redis.lrange(waitKey, offset, offset + count - 1),
  };
  const prioritized: Section = {
    length: () => redis.zcard(prioritizedKey),
    ids: (offset, count) => redis.zrevrange(prioritizedKey, offset, offset + count - 1),
  };
  const delayed: Section = {
    length: () => redis.zcard(dueKey),
    ids: (offset, count) => redis.zrevrange(dueKey, offset, offset + count - 1),
  };
  // Jobs of bare BullMQ clients, and jobs that BullMQ itself delays after an unexpected error.
  const delayedByBullmq: Section = {
    length: () => redis.zcount(delayedKey, '-inf', `(${WAITING_SCORE}`),
    ids: (offset, count) =>
      redis.zrevrangebyscore(delayedKey, `(${WAITING_SCORE}`, '-inf', 'LIMIT', offset, count),
  };
  const sections = { waiting: [line, wait, prioritized], delayed: [delayed, delayedByBullmq] };
  return {
    fairQueueLength: line.length,
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
      // One that moved on from one set to the next meanwhile.
      return [...new Set(found)];
    },
  };
}
