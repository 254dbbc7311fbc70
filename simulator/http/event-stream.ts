import { elapsedMs, type Run } from '../response/run.ts';
import { isTerminal, type TimedEvent, timeline } from '../response/timeline.ts';
import type { StreamForm } from './stream-form.ts';

/** EventStreamOptions say which events one connection gets, and where they go. */
export type EventStreamOptions = {
  readonly run: Run;
  /** The sequence number after which the stream starts. -1: from the beginning. */
  readonly startingAfter: number;
  readonly form: Pick<StreamForm, 'write'>;
  /** The number of events that this connection gets before its stream fault. Infinity: no fault. */
  readonly eventLimit: number;
  readonly now: () => number;
  /** @returns false when the reader is slow; the stream then waits for `resume`. */
  readonly write: (text: string) => boolean;
  /** Called when the last event is sent: the final one, or the last one before the fault. */
  readonly onEnd: (reason: 'terminal' | 'limit') => void;
};

export type EventStream = { resume(): void; close(): void };

const BATCH_CHARACTERS = 64 * 1024;

/**
 * startEventStream sends a response's events when they are due, with one timer. A cancel changes only events
 * that are not due yet, so the stream continues after the last event that it sent.
 */
export function startEventStream(options: EventStreamOptions): EventStream {
  const { run, startingAfter, eventLimit, now, write } = options;
  let events = timeline(run.script, run.cancelledAtMs);
  let next: TimedEvent | undefined;
  let lastSequence = startingAfter;
  let sent = 0;
  let timer: NodeJS.Timeout | undefined;
  let state: 'open' | 'blocked' | 'closed' = 'open';

  const pull = (): TimedEvent | undefined => {
    const result = events.next();
    return result.done ? undefined : result.value;
  };
  const close = (): void => {
    state = 'closed';
    clearTimeout(timer);
    run.watchers.delete(restart);
  };
  const end = (reason: 'terminal' | 'limit'): void => {
    close();
    options.onEnd(reason);
  };
  const pump = (): void => {
    clearTimeout(timer);
    let batch = '';
    let ending: 'terminal' | 'limit' | undefined = sent >= eventLimit ? 'limit' : undefined;
    while (ending === undefined && batch.length < BATCH_CHARACTERS) {
      next ??= pull();
      if (!next || next.atMs > elapsedMs(run, now())) break;
      const { event } = next;
      next = undefined;
      if (event.sequence_number > lastSequence) {
        batch += options.form.write(event);
        lastSequence = event.sequence_number;
        sent += 1;
      }
      if (isTerminal(event)) ending = 'terminal';
      else if (sent >= eventLimit) ending = 'limit';
    }
    const isFlowing = batch === '' || write(batch);
    if (ending !== undefined) end(ending);
    else if (!isFlowing) state = 'blocked';
    else if (batch.length >= BATCH_CHARACTERS) timer = setTimeout(pump, 0);
    else if (next) timer = setTimeout(pump, Math.max(1, Math.ceil(next.atMs - elapsedMs(run, now()))));
  };
  const restart = (): void => {
    events = timeline(run.script, run.cancelledAtMs);
    next = undefined;
    if (state === 'open') pump();
  };
  run.watchers.add(restart);
  pump();
  return {
    resume: () => {
      if (state !== 'blocked') return;
      state = 'open';
      pump();
    },
    close,
  };
}
