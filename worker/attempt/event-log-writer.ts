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
  /** Whether an event that is still in memory tells more than the final response. */
  readonly hasMoreThanResponse: boolean;
  /** Drops the events that are still in memory: readers get the whole response at its end. */
  stop(): void;
}

export interface EventLogWriterOptions {
  writer: Pick<RunRecordWriter, 'append'>;
  active: Pick<ActiveAttempt, 'interrupt' | 'isWatched' | 'onWatched'>;
  pace: Pace;
  /**
   * Whether another worker can resume the stream after the last entry of the log, so that entries which were
   * not written are not lost with this process.
   */
  isResumable: boolean;
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
 * The same, in milliseconds, while no caller reads the events of a response that can be resumed. It is the
 * longest that a caller waits for the text so far if the message that the job is watched is lost. A write
 * costs Redis about 100 µs, and a stream of a minute had 600 of them.
 */
const UNWATCHED_MS = 2000;
/**
 * How many events of one response are kept in memory while Redis is away. After that the log stays
 * incomplete, and readers get the rest at the end.
 */
const MOST_WAITING = 20_000;

export function createEventLogWriter({
  writer,
  active,
  pace,
  isResumable,
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
  /** Whether the timer waits as long as for a log without readers. */
  let isSlow = false;
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
  const writeNow = (): void => {
    clearTimeout(timer);
    timer = undefined;
    writing = write().finally(() => {
      writing = undefined;
      if (progress !== undefined) writeSoon();
    });
  };
  const writeSoon = (): void => {
    if (timer !== undefined || writing !== undefined || closed) return;
    isSlow = isResumable && !active.isWatched();
    timer = setTimeout(writeNow, Math.max(isSlow ? UNWATCHED_MS : BATCH_MS, pace.pauseMs()));
  };
  // A caller who begins to read gets the text so far at once. Later messages only keep the pace.
  active.onWatched = () => {
    if (timer !== undefined && isSlow) writeNow();
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
    get hasMoreThanResponse() {
      return batch.hasMoreThanResponse;
    },
    stop() {
      closed = true;
      active.onWatched = undefined;
      clearTimeout(timer);
      pace.leave();
    },
  };
}
