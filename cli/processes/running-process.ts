import type { Logger } from '../../src/process/log.ts';
import { type Stoppable, shutDown } from '../../src/process/shutdown.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';

/** StopSignals are the signals of the operating system that ask the process to stop. */
export interface StopSignals {
  /** Aborts at the first signal; see CommandContext. */
  stop: AbortSignal;
  /** Aborts at the second signal. */
  hurry: AbortSignal;
}

export interface RunOptions {
  signals: StopSignals;
  /** The time from the first signal until the process ends by force, in milliseconds. */
  shutdownMs: number;
  logger: Logger;
  /**
   * Starts the parts one after the other, each on top of the earlier ones. It calls `keep` for each part as
   * soon as the part runs, so that the part is closed even when a later one fails to start.
   */
  start: (keep: <Part extends Stoppable>(part: Part) => Part) => Promise<void>;
  /** Rejects when a part has died. */
  died: Promise<never>;
}

/** How long the other parts may take to close when one part has failed, in milliseconds. */
const FAILED_SHUTDOWN_MS = 2000;

/** runProcess starts a process, waits for a signal, and shuts down in phases. @returns its exit code. */
export async function runProcess({
  signals,
  shutdownMs,
  logger,
  start,
  died,
}: RunOptions): Promise<ExitCode> {
  const parts: Stoppable[] = [];
  const stopped = new Promise<void>((resolve) => {
    if (signals.stop.aborted) resolve();
    signals.stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const keep = <Part extends Stoppable>(part: Part): Part => {
    parts.unshift(part);
    return part;
  };
  try {
    await Promise.race([start(keep).then(() => stopped), stopped, died]);
  } catch (error: unknown) {
    // The process does not wait for all of `shutdownMs`, because nothing can be written to a Redis that has
    // died.
    await shutDown(parts, { deadlineMs: Math.min(shutdownMs, FAILED_SHUTDOWN_MS), hurry: signals.stop });
    throw error;
  }
  logger.info('stopping; a second signal stops at once');
  const isClosed = await shutDown(parts, { deadlineMs: shutdownMs, hurry: signals.hurry });
  if (isClosed) return EXIT.done;
  logger.error(
    { shutdownMs },
    'not stopped in time, ending by force; another worker continues the unfinished jobs',
  );
  return EXIT.failed;
}
