import { type BoardLimits, concurrencyText, rateText } from '../../src/fair-queue/board-limits.ts';
import { lowerLimit } from '../../src/quota/limits.ts';
import type { QuotaLimits } from '../../src/quota/quota.ts';
import type { QuotaSnapshot } from '../../src/quota/snapshot.ts';

/** Speed is how many jobs of a fair queue start per second. */
export interface Speed {
  startsPerSecond: number | undefined;
  /** What `startsPerSecond` is based on, in words. */
  basis: string;
}

/** Throughput measures how many jobs of a fair queue start per second. */
export interface Throughput {
  /**
   * Takes a sample. Call it repeatedly while jobs wait.
   * @param starts the number of jobs that have ever started from the queue.
   */
  observe(starts: number): void;
  /**
   * Drops the samples. Call it when the queue was empty: the samples do not show how fast the queue can move.
   */
  reset(): void;
  /** Returns the measured speed if there are enough samples, else the speed that the limits allow. */
  now(limits: QuotaLimits, quota: QuotaSnapshot, board: BoardLimits): Speed;
}

const OBSERVED_FOR_MS = 30_000;
const LONG_ENOUGH_MS = 10_000;
const ENOUGH_STARTS = 20;

export function createThroughput(): Throughput {
  let samples: { at: number; starts: number }[] = [];
  return {
    observe(starts) {
      const at = performance.now();
      samples.push({ at, starts });
      while ((samples[0]?.at ?? at) < at - OBSERVED_FOR_MS) samples.shift();
    },
    reset() {
      samples = [];
    },
    now(limits, quota, board) {
      const [first, last] = [samples[0], samples.at(-1)];
      if (first !== undefined && last !== undefined) {
        const [starts, ms] = [last.starts - first.starts, last.at - first.at];
        if (starts >= ENOUGH_STARTS && ms >= LONG_ENOUGH_MS) {
          return {
            startsPerSecond: (starts * 1000) / ms,
            basis: `measured over the last ${Math.round(ms / 1000)} s`,
          };
        }
      }
      return allowedSpeed(limits, quota, board);
    },
  };
}

/** The speed that the tightest limit allows. */
function allowedSpeed(
  limits: QuotaLimits,
  quota: QuotaSnapshot,
  { concurrency, rate_limit: rate }: BoardLimits,
): Speed {
  const requests = lowerLimit(limits.requestsPerMinute, quota.advertisedRequests);
  const tokens = lowerLimit(limits.tokensPerMinute, quota.advertisedTokens);
  const { meanTokens, meanDurationMs } = quota;
  const speeds: Speed[] = [
    {
      startsPerSecond: requests && requests / 60,
      basis: `limit of ${counted(requests, 'request')} per minute`,
    },
    {
      startsPerSecond: tokens && meanTokens && tokens / 60 / meanTokens,
      basis: `limit of ${counted(tokens, 'token')} per minute`,
    },
    {
      startsPerSecond: limits.maxInFlight && meanDurationMs && (limits.maxInFlight * 1000) / meanDurationMs,
      basis: `limit of ${limits.maxInFlight} in flight`,
    },
    {
      startsPerSecond: rate === null ? undefined : (rate.max * 1000) / rate.duration_ms,
      basis: rate === null ? '' : `limit of ${rateText(rate)}, set on Bull Board`,
    },
    {
      startsPerSecond: (concurrency && meanDurationMs && (concurrency * 1000) / meanDurationMs) || undefined,
      basis: concurrency === null ? '' : `limit of ${concurrencyText(concurrency)}, set on Bull Board`,
    },
  ];
  return speeds.reduce(
    (slow, speed) =>
      (speed.startsPerSecond ?? Number.POSITIVE_INFINITY) < (slow.startsPerSecond ?? Number.POSITIVE_INFINITY)
        ? speed
        : slow,
    { startsPerSecond: undefined, basis: '' },
  );
}

/** counted writes a number with its unit: `1 request`, `2 requests`. */
export function counted(count: number | undefined, unit: string): string {
  return `${count ?? 0} ${unit}${count === 1 ? '' : 's'}`;
}
