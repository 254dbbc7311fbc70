import { isFailure, type RetryableError } from '../../src/errors/failure.ts';
import { isMoneyCode } from '../../src/errors/refusal-words.ts';
import type { Quota, QuotaReport } from '../../src/quota/quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';

/** QuotaSignals delivers what other workers report about the quotas, as soon as they report it. */
export interface QuotaSignals {
  /** @param wake called when there may be more of the quota to reserve. */
  listen(quota: Quota, wake: () => void): void;
  /** Returns whether the upstream model is paused. The pause may have begun after a job's reservation. */
  isPaused(quota: Quota): boolean;
}

export function createQuotaSignals(subscriber: RedisClient, onError: (error: Error) => void): QuotaSignals {
  const listeners = new Map<string, (() => void)[]>();
  const pausedUntil = new Map<string, number>();
  subscriber.on('message', (channel: string, message: string) => {
    const listening = listeners.get(channel);
    if (listening === undefined) return;
    // The message is the duration of a pause in milliseconds, or 0 at the end of a pause. An empty message
    // says that there may be more to reserve.
    if (message !== '') pausedUntil.set(channel, performance.now() + Number(message));
    for (const wake of listening) wake();
  });
  // Signals were lost while there was no connection, and the end of a pause may have been among them.
  subscriber.on('ready', () => pausedUntil.clear());
  return {
    listen({ channel }, wake) {
      const listening = listeners.get(channel);
      if (listening !== undefined) {
        listening.push(wake);
        return;
      }
      listeners.set(channel, [wake]);
      subscriber.subscribe(channel).catch(onError);
    },
    isPaused: ({ channel }) => (pausedUntil.get(channel) ?? 0) > performance.now(),
  };
}

/**
 * quotaReportOf returns what a refusal means for the next job of any worker; undefined when it concerns only
 * this job.
 * @param where.inside whether the upstream had accepted the job, and its response then failed.
 * @param where.isLast whether no fallback is left.
 */
export function quotaReportOf(
  error: unknown,
  { inside = false, isLast = false }: { inside?: boolean; isLast?: boolean } = {},
): QuotaReport | undefined {
  if (!isFailure(error)) return undefined;
  const more = { words: error.message, inside };
  switch (error.code) {
    case 'rate_limited': {
      const { retryAfterMs }: Partial<RetryableError> = error;
      return { what: 'rate_limited', retryAfterMs, ...more };
    }
    case 'quota_exhausted':
      return { what: 'quota_exhausted', isCertain: isMoneyCode(error.refusal ?? NO_CODE), ...more };
    case 'authentication':
    case 'permission':
      return { what: 'credentials_refused', ...more };
    case 'wrong_address':
      return { what: 'wrong_address', ...more };
    case 'model_not_found':
      return { what: 'gone', isLast, ...more };
    case 'connection_lost':
      return inside ? undefined : { what: 'unreachable', ...more };
    case 'response_failed':
      // This failure concerns the files of this job only.
      if (error.refusal?.code === 'vector_store_timeout') return undefined;
      return { what: 'failed', inside };
    case 'upstream_error':
    case 'upstream_overloaded':
      // The words are left out, because an error about one job may quote its question.
      return { what: 'failed', inside };
    default:
      return undefined;
  }
}

const NO_CODE = { code: null, type: null };
