import type { Logger } from '../src/log.ts';
import type { Outcome } from './outcome.ts';
import type { PurchaseEvent } from './purchase.ts';

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
