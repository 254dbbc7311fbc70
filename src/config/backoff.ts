export interface Backoff {
  /** The longest wait before attempt 2, in milliseconds; doubles with each further attempt. Default 1,000. */
  baseMs: number;
  /** No wait is longer than this, in milliseconds. Default 60,000. */
  maxMs: number;
}

/**
 * The wait before the next attempt: exponential with full jitter, so that a thousand jobs which failed together
 * do not come back together. The upstream's own Retry-After wins and gets no jitter: it knows better.
 */
export function backoffDelayMs(
  backoff: Backoff,
  attemptsMade: number,
  retryAfterMs: number | undefined,
  random: () => number = Math.random,
): number {
  if (retryAfterMs !== undefined) return Math.ceil(retryAfterMs);
  const ceilingMs = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attemptsMade - 1));
  return Math.round(random() * ceilingMs);
}
