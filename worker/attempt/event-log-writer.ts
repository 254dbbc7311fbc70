import type { Pace } from '../../src/async/pace.ts';
import { LogBatch } from '../../src/events/event-log.ts';
import type { RunProgress } from '../../src/run/record.ts';
import { LockLostError, type RunRecordWriter } from '../../src/run/writer.ts';
import type { StreamEvent } from '../upstream/running-response.ts';
import type { ActiveAttempt } from './active-attempt.ts';

/** EventLogWriter writes the event log of one response while it is streamed. */
export interface EventLogWriter {
  /**
   * Adds an event, and how far the follower has come with it. Never waits, so a slow Redis does not hold up
   * the stream.
   */
  add(event: StreamEvent, progress: RunProgress): void;
  /** Writes what has not been written by now, for a reader of the log. */
  flush(): Promise<void>;
  /** Drops what has not been written by now: at the end of a response its readers get it whole. */
  stop(): void;
}

export interface EventLogWriterOptions {
  writer: Pick<RunRecordWriter, 'append'>;
  active: Pick<ActiveAttempt, 'interrupt'>;
  pace: Pace;
  /** Written with each batch, because a Redis that was restarted may have lost it. */
  identity: RunProgress;
}

/**
 * In milliseconds: short enough that a reader sees words come, long enough that Redis is not written to for
 * each word.
 */
const BATCH_MS = 100;
/**
 * Events of one response that are kept for a Redis that is away. After that the log stays incomplete until
 * the end.
 */
const MOST_WAITING = 20_000;

export function createEventLogWriter({
  writer,
  active,
  pace,
  identity,
}: EventLogWriterOptions): EventLogWriter {
  const batch = new LogBatch();
  let progress: RunProgress | undefined;
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;
  /** After one lost batch nothing more is written: an event log has no holes. */
  let closed = false;
  let isFull = false;
  pace.join();

  const write = async (): Promise<void> => {
    const latest = { ...identity, ...progress };
    progress = undefined;
    waiting = 0;
    try {
      const { cancelRequested } = await writer.append({ events: batch.take() }, latest);
      if (cancelRequested) active.interrupt('cancelled');
    } catch (error: unknown) {
      closed = true;
      if (error instanceof LockLostError) active.interrupt('lock lost');
      // Any other error is of Redis; the next step of the attempt meets it and reports it.
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
    async flush() {
      await writing;
      clearTimeout(timer);
      timer = undefined;
      if (progress !== undefined && !closed) await write();
    },
    stop() {
      closed = true;
      clearTimeout(timer);
      pace.leave();
    },
  };
}
