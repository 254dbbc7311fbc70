import { isFailure, type RetryableError } from '../../src/errors/failure.ts';
import type { QuotaReport } from '../../src/quota/quota.ts';

/** A throttling that does not say for how long. */
const UNSAID_RETRY_AFTER_MS = 2000;

/**
 * What the refusal of a create means for the next one, whoever sends it; undefined: nothing, it is about this
 * one alone. A connection that broke after it was sent is no refusal.
 */
export function reportOf(error: unknown): QuotaReport | undefined {
  if (!isFailure(error)) return undefined;
  switch (error.code) {
    case 'rate_limited':
      return { what: 'rate_limited', retryAfterMs: retryAfterMs(error) ?? UNSAID_RETRY_AFTER_MS };
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

function retryAfterMs(error: Partial<RetryableError>): number | undefined {
  return error.retryAfterMs;
}
