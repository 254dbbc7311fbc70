import { elapsedMs, type Run } from '../response/run.ts';
import { isTerminal, type TimedEvent, timeline } from '../response/timeline.ts';

export type EventStreamOptions = {
  readonly run: Run;
  /** Exclusive: the first event sent is the one after it. -1: from the beginning. */
  readonly startingAfter: number;
  readonly obfuscated: boolean;
  /** Events that this connection gets before its wire fault strikes. Infinity: none does. */
  readonly eventLimit: number;
  readonly now: () => number;
  /** False: the reader is slow, wait until `resume`. */
  readonly write: (text: string) => boolean;
  /** Every event that this connection gets is out, the terminal one or the last before the fault. */
  readonly onEnd: (reason: 'terminal' | 'limit') => void;
};

export type EventStream = { resume(): void; close(): void };

const BATCH_CHARACTERS = 64 * 1024;

/**
 * Sends a response's events when they are due, on one timer. A cancel changes the rest of the timeline but
 * never its past, so the stream then takes it up again behind the last event that was sent.
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
        batch += formatEvent(event, options.obfuscated);
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

const PADDING = 'q7Rk0vYwXb3TzLmN8dHc5GfJ2sPaUe9i';

/** Padding that hides the length of a delta; from the number, so that a replay is the same to the letter. */
function obfuscation(sequence: number): string {
  const start = (sequence * 7) % 16;
  return PADDING.slice(start, start + 4 + ((sequence * 5) % 12));
}

function formatEvent(event: TimedEvent['event'], obfuscated: boolean): string {
  const padded =
    obfuscated && event.type.endsWith('.delta')
      ? { ...event, obfuscation: obfuscation(event.sequence_number) }
      : event;
  return `event: ${event.type}\ndata: ${JSON.stringify(padded)}\n\n`;
}
