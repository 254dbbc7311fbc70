import type { Pace } from '../../src/async/pace.ts';
import { LogBatch } from '../../src/events/event-log.ts';
import { LockLostError } from '../../src/run/purchase-hold.ts';
import type { RunProgress } from '../../src/run/record.ts';
import type { RunRecordWriter } from '../../src/run/writer.ts';
import type { StreamEvent } from '../upstream/running-response.ts';
import type { ActiveAttempt } from './active-attempt.ts';

/** EventLogWriter writes the event log of one response while it is streamed. */
export interface EventLogWriter {
  /**
   * Adds an event, and the progress of the response after that event. It never waits, so that a slow Redis
   * does not hold up the stream.
   */
  add(event: StreamEvent, progress: RunProgress): void;
  /** Writes the events that are still in memory, so that a reader of the log finds them. */
  flush(): Promise<void>;
  /** Drops the events that are still in memory: readers get the whole response at its end. */
  stop(): void;
}

export interface EventLogWriterOptions {
  writer: Pick<RunRecordWriter, 'append'>;
  active: Pick<ActiveAttempt, 'interrupt'>;
  pace: Pace;
  /**
   * What another worker needs to adopt the response. It is written with each batch, because a Redis that
   * restarted may have lost it.
   */
  identity: RunProgress;
}

/**
 * The time between two writes, in milliseconds: short enough that readers see words appear, and long enough
 * that a write has many words.
 */
const BATCH_MS = 100;
/**
 * How many events of one response are kept in memory while Redis is away. After that the log stays
 * incomplete, and readers get the rest at the end.
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
  /** Set after one lost batch: nothing more is written, because an event log must not have holes. */
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
      // Any other error comes from Redis. The next step of the attempt meets the same error and reports it.
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
