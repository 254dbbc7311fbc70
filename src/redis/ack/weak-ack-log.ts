import { throttledErrors } from '../../async/throttled-errors.ts';
import type { Logger } from '../../process/log.ts';
import type { Ack } from './level.ts';

/**
 * createWeakAckLog returns a function that logs, at most once a second for each reason, that a write is less
 * safe than `O3Q_ACK` asks for.
 */
export function createWeakAckLog(wanted: Ack, logger: Logger): (reason: string) => void {
  const log = throttledErrors(({ message: reason }) =>
    logger.warn({ wanted, reason }, 'stored in memory only, less than O3Q_ACK asks for'),
  );
  return (reason) => log(new Error(reason));
}
