import { isFailure, type RetryableError } from '../../src/errors/failure.ts';
import type { Quota, QuotaReport } from '../../src/quota/quota.ts';
import type { RedisClient } from '../../src/redis/connection.ts';

/** QuotaSignals passes on what other workers learn about the quotas, as soon as they learn it. */
export interface QuotaSignals {
  /** @param wake called when there may be more to reserve. */
  listen(quota: Quota, wake: () => void): void;
  /** Returns whether all workers have been told to wait. A reservation may be older than that. */
  isStopped(quota: Quota): boolean;
}

export function createQuotaSignals(subscriber: RedisClient, onError: (error: Error) => void): QuotaSignals {
  const listeners = new Map<string, (() => void)[]>();
  const stoppedUntil = new Map<string, number>();
  subscriber.on('message', (channel: string, message: string) => {
    const listening = listeners.get(channel);
    if (listening === undefined) return;
    // The milliseconds of a stop, 0 at its end; or '': there may be more to reserve.
    if (message !== '') stoppedUntil.set(channel, Date.now() + Number(message));
    for (const wake of listening) wake();
  });
  // Signals were lost while the connection was away; the end of a stop may have been among them.
  subscriber.on('ready', () => stoppedUntil.clear());
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
    isStopped: ({ channel }) => (stoppedUntil.get(channel) ?? 0) > Date.now(),
  };
}

/** How long all workers wait after a 429 that does not say for how long, in milliseconds. */
const DEFAULT_RETRY_AFTER_MS = 2000;

/**
 * quotaReportOf returns what the refusal of a create request means for the next one, of any worker; undefined
 * when it concerns only this job. A connection that broke after the request was sent is no refusal.
 */
export function quotaReportOf(error: unknown): QuotaReport | undefined {
  if (!isFailure(error)) return undefined;
  switch (error.code) {
    case 'rate_limited': {
      const { retryAfterMs = DEFAULT_RETRY_AFTER_MS }: Partial<RetryableError> = error;
      return { what: 'rate_limited', retryAfterMs };
    }
    case 'quota_exhausted':
      return { what: 'quota_exhausted' };
    case 'model_not_found':
      return { what: 'gone' };
    case 'connection_lost':
      return { what: 'unreachable' };
    case 'upstream_error':
    case 'upstream_overloaded':
      return { what: 'failed' };
    default:
      return undefined;
  }
}
