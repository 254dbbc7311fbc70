import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';

/**
 * BoardLimits are the settings of a model's queue that a person has made on Bull Board, or a program has made
 * through a BullMQ client. BullMQ keeps them in the queue's `meta` hash until they are removed. `o3q resume`
 * removes them.
 */
export interface BoardLimits {
  paused: boolean;
  /** The most jobs that all workers hold at once; null: no limit. */
  concurrency: number | null;
  /** The most jobs that start within a duration, in milliseconds; null: no limit. */
  rate_limit: { max: number; duration_ms: number } | null;
}

/** NO_BOARD_LIMITS are the limits when nothing is set. */
export const NO_BOARD_LIMITS: BoardLimits = { paused: false, concurrency: null, rate_limit: null };

/** BOARD_LIMIT_KINDS are the names of the settings of BoardLimits. */
export const BOARD_LIMIT_KINDS = ['pause', 'concurrency', 'rate_limit'] as const;
export type BoardLimitKind = (typeof BOARD_LIMIT_KINDS)[number];

/** BoardMeta has the fields of BullMQ's `meta` hash with the limits, in the order of BOARD_META. */
export type BoardMeta = readonly [
  paused: string | null,
  concurrency: string | null,
  max: string | null,
  duration: string | null,
];
const BOARD_META = ['paused', 'concurrency', 'max', 'duration'] as const;

/** readBoardLimits reads the limits of one model's queue. */
export async function readBoardLimits(redis: RedisClient, keys: ModelKeys): Promise<BoardLimits> {
  return boardLimitsFrom((await redis.hmget(keys.queue('meta'), ...BOARD_META)) as unknown as BoardMeta);
}

/** boardLimitsFrom decodes the fields of BullMQ's `meta` hash. */
export function boardLimitsFrom([paused, concurrency, max, duration]: BoardMeta): BoardLimits {
  return {
    paused: paused !== null,
    concurrency: concurrency === null ? null : Number(concurrency),
    rate_limit: max === null ? null : { max: Number(max), duration_ms: Number(duration ?? 0) },
  };
}

/** boardLimitKinds lists the settings that are in force. */
export function boardLimitKinds({ paused, concurrency, rate_limit: rate }: BoardLimits): BoardLimitKind[] {
  const isSet = { pause: paused, concurrency: concurrency !== null, rate_limit: rate !== null };
  return BOARD_LIMIT_KINDS.filter((kind) => isSet[kind]);
}

/** concurrencyText writes a limit of jobs at once: `2 jobs at once`. */
export function concurrencyText(concurrency: number): string {
  return `${jobsText(concurrency)} at once`;
}

/** rateText writes a rate limit: `5 jobs per 60 s`. */
export function rateText({ max, duration_ms: ms }: NonNullable<BoardLimits['rate_limit']>): string {
  return `${jobsText(max)} per ${ms / 1000} s`;
}

/** jobsText writes a number of jobs: `1 job`, `2 jobs`. */
export function jobsText(count: number): string {
  return count === 1 ? '1 job' : `${count} jobs`;
}
