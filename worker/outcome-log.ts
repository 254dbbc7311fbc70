import type { Logger } from '../src/log.ts';
import type { Outcome } from './outcome.ts';

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
    case 'lost':
      logger.warn(line, 'lost to another worker');
      return;
    default: {
      const never: never = outcome;
      throw new Error(`unknown outcome ${JSON.stringify(never)}`);
    }
  }
}

const ERROR_INTERVAL_MS = 1000;

/** BullMQ repeats itself without a limit, once a job or thousands of times a second: one line a second says as much. */
export function createErrorLog(logger: Logger): (error: Error) => void {
  let quietUntil = 0;
  let unsaid = 0;
  return (error) => {
    if (Date.now() < quietUntil) {
      unsaid += 1;
      return;
    }
    quietUntil = Date.now() + ERROR_INTERVAL_MS;
    logger.error({ error: error.message, ...(unsaid > 0 && { unsaid }) }, 'worker error');
    unsaid = 0;
  };
}
