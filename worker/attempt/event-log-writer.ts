import type { Pace } from '../../src/async/pace.ts';
import { LogBatch } from '../../src/events/event-log.ts';
import type { RunProgress } from '../../src/run/record.ts';
import { LockLostError, type RunRecordWriter } from '../../src/run/writer.ts';
import type { StreamEvent } from '../upstream/running-response.ts';
import type { ActiveAttempt } from './active-attempt.ts';

/** Writes the journal of one response while it is streamed. */
export interface EventLogWriter {
  /**
   * Takes an event, and how far the follower is with it. Never waits: a Redis that is slow does not hold up
   * the stream.
   */
  add(event: StreamEvent, progress: RunProgress): void;
  /** What has not been written by now is left out: at the end of a response its readers have it whole. */
  stop(): void;
}

export interface EventLogWriterOptions {
  record: Pick<RunRecordWriter, 'append'>;
  active: Pick<ActiveAttempt, 'interrupt'>;
  pace: Pace;
  /** Written with each batch: a Redis that was restarted may have forgotten it. */
  identity: RunProgress;
}

/**
 * Soon enough that a reader sees words come, seldom enough that Redis is not written to for each of them. In
 * milliseconds.
 */
const BATCH_MS = 100;
/** What is kept for a Redis that is away, of one response; then the rest is left to the end. */
const MOST_WAITING = 20_000;

export function createEventLogWriter({
  record,
  active,
  pace,
  identity,
}: EventLogWriterOptions): EventLogWriter {
  const batch = new LogBatch();
  let progress: RunProgress | undefined;
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  /** Once an event was left out, all later ones are left out too: a log has no holes. */
  let closed = false;
  let isFull = false;
  pace.join();

  const write = async (): Promise<void> => {
    const latest = { ...identity, ...progress };
    progress = undefined;
    waiting = 0;
    try {
      const { cancelRequested } = await record.append({ events: batch.take() }, latest);
      if (cancelRequested) active.interrupt('cancelled');
    } catch (error: unknown) {
      closed = true;
      if (error instanceof LockLostError) active.interrupt('lock lost');
      // Anything else is Redis': the attempt's own next step meets it, and says so.
    }
  };
  const writeSoon = (): void => {
    if (timer !== undefined || writing !== undefined || closed) return;
    timer = setTimeout(
      () => {
        timer = undefined;
        writing = write().finally(() => {
          writing = undefined;
          if (progress !== undefined) writeSoon();
        });
      },
      Math.max(BATCH_MS, pace.pauseMs()),
    );
  };

  return {
    add(event, now) {
      isFull ||= waiting >= MOST_WAITING;
      if (closed || isFull) return;
      waiting += 1;
      batch.add({ ...event });
      progress = now;
      writeSoon();
    },
    stop() {
      closed = true;
      clearTimeout(timer);
      pace.leave();
    },
  };
}
