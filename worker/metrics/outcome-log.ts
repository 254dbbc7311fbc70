import { jobPageUrl } from '../../src/job/ids/job-page.ts';
import type { Logger } from '../../src/process/log.ts';
import type { QuotaReport } from '../../src/quota/quota.ts';
import type { Outcome } from '../attempt/outcome.ts';
import type { PurchaseEvent } from '../attempt/purchase/purchase.ts';

/**
 * logOutcome logs the end of an attempt. The upstream's messages may quote the question, so they are logged
 * at `debug` only.
 *
 * @param publicUrl where people reach the instance; the line of a failed job then links to its page.
 */
export function logOutcome(
  logger: Logger,
  job: string,
  outcome: Outcome,
  publicUrl: string | undefined,
): void {
  const line = { job };
  switch (outcome.kind) {
    case 'completed':
      logger.info({ ...line, usage: outcome.summary.usage }, 'completed');
      return;
    case 'failed':
      logger.debug({ ...line, message: outcome.message }, 'failure detail');
      logger.warn({ ...line, code: outcome.code, ...pageOf(job, publicUrl) }, 'failed');
      return;
    case 'retry':
      logger.debug({ ...line, message: outcome.failure.message }, 'retry detail');
      logger.warn({ ...line, code: outcome.failure.code, attempt: outcome.attempt }, 'will be retried');
      return;
    case 'held':
      logger.debug({ ...line, message: outcome.failure.message }, 'held back');
      return;
    case 'cancelled':
    case 'released':
      logger.info(line, outcome.kind);
      return;
    case 'postponed':
      logger.debug(line, 'postponed');
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

function pageOf(job: string, publicUrl: string | undefined): { console_url?: string } {
  return publicUrl === undefined ? {} : { console_url: jobPageUrl(publicUrl, job) };
}

/** logPurchase logs what an attempt has bought or adopted, and its uncertain purchases. */
export function logPurchase(logger: Logger, job: string, what: PurchaseEvent): void {
  switch (what) {
    case 'bought':
      logger.debug({ job }, 'bought');
      return;
    case 'adopted':
      logger.info({ job }, 'adopted');
      return;
    case 'uncertain':
      logger.warn({ job }, 'uncertain purchase: a create request was sent, but its answer never came');
      return;
    default: {
      const never: never = what;
      throw new Error(`unknown event ${JSON.stringify(never)}`);
    }
  }
}

/** logQuotaSignals logs what pauses an upstream model for the whole fleet, and the end of such a pause. */
export function logQuotaSignals(
  logger: Logger,
  upstream: string,
  news: QuotaReport | { what: 'answered' },
): void {
  const said = 'words' in news ? { said: news.words } : {};
  switch (news.what) {
    case 'rate_limited':
      logger.warn({ upstream, waitMs: news.retryAfterMs, ...said }, 'throttled: all workers pause');
      return;
    case 'quota_exhausted':
      logger.error(
        { upstream, ...said },
        'paused: the upstream account has no money left; one job at a time probes the upstream',
      );
      return;
    case 'credentials_refused':
      logger.error(
        { upstream, ...said },
        'paused: the upstream refuses the credentials; one job at a time probes the upstream',
      );
      return;
    case 'wrong_address':
      logger.error(
        { upstream, ...said },
        'paused: what answers at the upstream address is not the API; one job at a time probes the upstream',
      );
      return;
    case 'unreachable':
    case 'failed':
      logger.error(
        { upstream, ...said },
        'the upstream is unreachable or overloaded; one job at a time probes it',
      );
      return;
    case 'gone':
      logger.error(
        { upstream, ...said },
        'the upstream has no such model; its fallbacks take over, if there are any',
      );
      return;
    case 'answered':
      logger.info({ upstream }, 'the upstream accepts jobs again');
      return;
    default: {
      const never: never = news;
      throw new Error(`unknown signal ${JSON.stringify(never)}`);
    }
  }
}
