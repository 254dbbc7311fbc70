import type { ModelConfig } from './file.ts';

/**
 * backoffDelayMs is the wait before the next attempt: exponential with full jitter, so that a thousand jobs
 * that failed together do not come back together. A Retry-After of the upstream is used instead, without
 * jitter.
 *
 * @param attemptsMade the number of attempts that have ended, from 1.
 */
export function backoffDelayMs(
  backoff: ModelConfig['backoff'],
  attemptsMade: number,
  retryAfterMs: number | undefined,
  random: () => number = Math.random,
): number {
  if (retryAfterMs !== undefined) return Math.ceil(retryAfterMs);
  const ceilingMs = Math.min(backoff.maxMs, backoff.baseMs * 2 ** (attemptsMade - 1));
  return Math.round(random() * ceilingMs);
}
