import type { Logger } from '../../src/process/log.ts';
import { type Stoppable, shutDown } from '../../src/process/shutdown.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';

/** The signals of the process, as the entry point hears them. */
export interface StopSignals {
  /** The first SIGINT or SIGTERM. */
  stop: AbortSignal;
  /** The second one. */
  hurry: AbortSignal;
}

export interface RunOptions {
  signals: StopSignals;
  shutdownMs: number;
  logger: Logger;
  /**
   * Starts the parts one after the other, each on top of those before it. `keep` takes each as soon as it stands, so that
   * it is closed again even when a later one does not come up.
   */
  start: (keep: <Part extends Stoppable>(part: Part) => Part) => Promise<void>;
  /** Rejects when a part has died under us. */
  died: Promise<never>;
}

/** How long what has come up may take to go down again when the rest has failed, in milliseconds. */
const FAILED_SHUTDOWN_MS = 2000;

/** A process from its first part to its exit code: starts, waits for a signal, and leaves in phases. */
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
    // Nothing is drained into a Redis that has died.
    await shutDown(parts, { deadlineMs: Math.min(shutdownMs, FAILED_SHUTDOWN_MS), hurry: signals.stop });
    throw error;
  }
  logger.info('stopping; a second signal hurries');
  const isClosed = await shutDown(parts, { deadlineMs: shutdownMs, hurry: signals.hurry });
  if (isClosed) return EXIT.done;
  logger.error(
    { shutdownMs },
    'not stopped in time, ending by force; unfinished jobs go on in another worker',
  );
  return EXIT.failed;
}
