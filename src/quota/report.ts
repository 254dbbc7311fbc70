import type { PauseReason } from './snapshot.ts';

/** QuotaReport is a failure of one job at the upstream that may concern every job. */
export interface QuotaReport {
  /**
   * - `rate_limited`: a 429; `retryAfterMs` is the wait that it named, undefined if it named none.
   * - `quota_exhausted`: the account has no money left.
   * - `credentials_refused`: the upstream refused the key, the account, the project or the location.
   * - `wrong_address`: the server that answers is not the API.
   * - `unreachable`: no connection was possible.
   * - `failed`: the upstream is overloaded or broken.
   * - `gone`: the upstream does not have the model. `isLast`: no fallback is left.
   */
  what:
    | 'rate_limited'
    | 'quota_exhausted'
    | 'credentials_refused'
    | 'wrong_address'
    | 'unreachable'
    | 'failed'
    | 'gone';
  retryAfterMs?: number | undefined;
  isLast?: boolean;
  /**
   * Whether a `quota_exhausted` is sure to concern every job. The first probe then comes after a minute,
   * because no other job need try at once.
   */
  isCertain?: boolean;
  /** The upstream's own words, for people. */
  words?: string;
  /** Whether the upstream had accepted the job, and its response then failed. */
  inside?: boolean;
}

/** MOST_WORDS is how many characters of the upstream's words are kept at most. */
export const MOST_WORDS = 300;

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
/**
 * How long all workers wait after a 429 that names no time, in milliseconds. The wait doubles while more 429s
 * follow.
 */
const DEFAULT_PAUSE_MS = 2 * SECOND_MS;
/** The shortest pause when a server names a time, in milliseconds: the time may be 0. */
const TOLD_FLOOR_MS = 250;
const LONGEST_PAUSE_MS = 30 * SECOND_MS;

/** What the script `quota.report` does with a report. All times are in milliseconds. */
interface Action {
  kind: 'breaker' | 'failure' | 'pause' | 'gone';
  reason: PauseReason;
  firstMs: number;
  lastMs: number;
  floorMs: number;
}

/**
 * actionFor returns what a report does. The first probe usually comes after a second, and is another job if
 * there is one: the probe shows whether the problem concerns one job or all.
 */
export function actionFor({ what, retryAfterMs, isLast = false, isCertain = false }: QuotaReport): Action {
  const breaker = { kind: 'breaker', firstMs: SECOND_MS, lastMs: 10 * MINUTE_MS, floorMs: 0 } as const;
  switch (what) {
    case 'quota_exhausted':
      return { ...breaker, reason: 'quota_exhausted', firstMs: isCertain ? MINUTE_MS : SECOND_MS };
    case 'credentials_refused':
      return { ...breaker, reason: 'credentials_refused' };
    case 'wrong_address':
      return { ...breaker, reason: 'wrong_address', lastMs: MINUTE_MS };
    case 'unreachable':
      return { ...breaker, reason: 'upstream_down', lastMs: MINUTE_MS };
    case 'failed':
      return {
        ...{ kind: 'failure', reason: 'upstream_down', floorMs: 0 },
        ...{ firstMs: 5 * SECOND_MS, lastMs: MINUTE_MS },
      };
    case 'gone':
      return { ...breaker, kind: isLast ? 'breaker' : 'gone', reason: 'gone' };
    case 'rate_limited': {
      // During a wait of more than a minute, probes are sent.
      if ((retryAfterMs ?? 0) > MINUTE_MS) return { ...breaker, reason: 'rate_limited' };
      const firstMs = Math.ceil(retryAfterMs ?? DEFAULT_PAUSE_MS);
      const floorMs = retryAfterMs === undefined ? DEFAULT_PAUSE_MS : TOLD_FLOOR_MS;
      // A time that the server names is used as it is. Any other pause grows.
      const lastMs = firstMs > 0 && retryAfterMs !== undefined ? floorMs : LONGEST_PAUSE_MS;
      return { kind: 'pause', reason: 'rate_limited', firstMs, lastMs, floorMs };
    }
    default: {
      const never: never = what;
      throw new Error(`unknown report ${String(never)}`);
    }
  }
}
