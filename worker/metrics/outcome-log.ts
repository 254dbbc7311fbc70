import type { Logger } from '../../src/process/log.ts';
import type { QuotaReport } from '../../src/quota/quota.ts';
import type { Outcome } from '../attempt/outcome.ts';
import type { PurchaseEvent } from '../attempt/purchase.ts';

/** Messages of the upstream may quote the question, so that they are for `debug` only; the code is for everybody. */
export function logOutcome(logger: Logger, job: string, outcome: Outcome): void {
  const line = { job };
  switch (outcome.kind) {
    case 'completed':
      logger.info({ ...line, usage: outcome.summary.usage }, 'completed');
      return;
    case 'failed':
      logger.debug({ ...line, message: outcome.message }, 'failed because');
      logger.warn({ ...line, code: outcome.code }, 'failed');
      return;
    case 'retry':
      logger.debug({ ...line, message: outcome.failure.message }, 'to be retried because');
      logger.warn({ ...line, code: outcome.failure.code, attempt: outcome.attempt }, 'to be retried');
      return;
    case 'cancelled':
    case 'released':
      logger.info(line, outcome.kind);
      return;
    case 'postponed':
      logger.debug(line, 'back into the line');
      return;
    case 'lost':
      logger.warn(line, 'lost to another worker');
      return;
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}

export function logPurchase(logger: Logger, job: string, what: PurchaseEvent): void {
  switch (what) {
    case 'bought':
      logger.debug({ job }, 'bought');
      return;
    case 'adopted':
      logger.info({ job }, 'adopted');
      return;
    case 'uncertain':
      logger.warn({ job }, 'purchase uncertain: a create request was sent, and its answer never came');
      return;
    default: {
      const never: never = what;
      throw new Error(`unknown event ${String(never)}`);
    }
  }
}

/** What stops all that is sent to an upstream model, or ends that; once for the fleet. */
export function logQuotaSignals(
  logger: Logger,
  upstream: string,
  news: QuotaReport | { what: 'answered' },
): void {
  switch (news.what) {
    case 'rate_limited':
      logger.warn({ upstream, waitMs: Math.ceil(news.retryAfterMs) }, 'throttled: nobody sends meanwhile');
      return;
    case 'quota_exhausted':
      logger.error(
        { upstream },
        'paused: the upstream account has no money left; one job probes now and again',
      );
      return;
    case 'unreachable':
    case 'failed':
      logger.error({ upstream }, 'the upstream is out of reach or overloaded; one job tries now and again');
      return;
    case 'gone':
      logger.error(
        { upstream },
        'the upstream has no such model; its fallbacks take over, where there are any',
      );
      return;
    case 'answered':
      logger.info({ upstream }, 'the upstream takes jobs again');
      return;
    default: {
      const never: never = news;
      throw new Error(`unknown news ${JSON.stringify(never)}`);
    }
  }
}
