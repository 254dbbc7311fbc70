import type { QuotaLimits } from '../../src/quota/quota.ts';
import type { QuotaSnapshot } from '../../src/quota/snapshot.ts';

/** How fast a line moves. */
export interface Speed {
  startsPerSecond: number | undefined;
  /** What that is taken from, in words. */
  basis: string;
}

export interface Throughput {
  /** To be told again and again while there are jobs in the line. @param starts how many have ever been started from it. */
  observe(starts: number): void;
  /** The line was empty: what was observed before says nothing of how fast it can move. */
  reset(): void;
  /** As observed, if there was enough to see; or else as the limits allow. */
  now(limits: QuotaLimits, quota: QuotaSnapshot): Speed;
}

const OBSERVED_FOR_MS = 30_000;
const LONG_ENOUGH_MS = 10_000;
const ENOUGH_STARTS = 20;

export function createThroughput(): Throughput {
  let seen: { at: number; starts: number }[] = [];
  return {
    observe(starts) {
      const at = Date.now();
      seen.push({ at, starts });
      while ((seen[0]?.at ?? at) < at - OBSERVED_FOR_MS) seen.shift();
    },
    reset() {
      seen = [];
    },
    now(limits, quota) {
      const [first, last] = [seen[0], seen.at(-1)];
      if (first !== undefined && last !== undefined) {
        const [starts, ms] = [last.starts - first.starts, last.at - first.at];
        if (starts >= ENOUGH_STARTS && ms >= LONG_ENOUGH_MS) {
          return {
            startsPerSecond: (starts * 1000) / ms,
            basis: `as in the last ${Math.round(ms / 1000)} s`,
          };
        }
      }
      return slowest(limits, quota);
    },
  };
}

function slowest(limits: QuotaLimits, quota: QuotaSnapshot): Speed {
  const requests = lower(limits.requestsPerMinute, quota.advertisedRequests);
  const tokens = lower(limits.tokensPerMinute, quota.advertisedTokens);
  const { meanTokens, meanDurationMs } = quota;
  const speeds: Speed[] = [
    { startsPerSecond: requests && requests / 60, basis: `${requests} requests a minute` },
    {
      startsPerSecond: tokens && meanTokens && tokens / 60 / meanTokens,
      basis: `${tokens} tokens a minute`,
    },
    {
      startsPerSecond: limits.maxInFlight && meanDurationMs && (limits.maxInFlight * 1000) / meanDurationMs,
      basis: `${limits.maxInFlight} in flight`,
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

function lower(configured: number | undefined, told: number | undefined): number | undefined {
  if (configured === undefined || told === undefined) return configured ?? told;
  return Math.min(configured, told);
}
