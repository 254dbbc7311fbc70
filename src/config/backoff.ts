import type { ModelConfig } from './file.ts';

/**
 * backoffDelayMs is the wait before the next attempt, in milliseconds. It is exponential with full jitter, so
 * that a thousand jobs that failed together do not start again together. If the upstream sent a Retry-After,
 * the wait is that time, without jitter.
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

/**
 * After a failure that may be caused by an outage of the upstream, each wait is WEATHER_FACTOR times as long
 * as the wait before it, up to WEATHER_REACH times `maxMs`.
 */
const WEATHER_FACTOR = 9;
const WEATHER_REACH = 10;

/**
 * weatherDelayMs is the wait before the next attempt after a failure that may be caused by an outage of the
 * upstream, in milliseconds. It grows faster than a backoff: five attempts span more than ten minutes instead
 * of fifteen seconds. A longer Retry-After of the upstream lengthens the wait.
 *
 * @param attemptsMade the number of attempts that have ended, from 1.
 */
export function weatherDelayMs(
  { baseMs, maxMs }: ModelConfig['backoff'],
  attemptsMade: number,
  retryAfterMs: number | undefined,
  random: () => number = Math.random,
): number {
  const ceilingMs = Math.min(maxMs * WEATHER_REACH, baseMs * WEATHER_FACTOR ** (attemptsMade - 1));
  return Math.ceil(Math.max(retryAfterMs ?? 0, ceilingMs * (0.9 + random() / 10)));
}
