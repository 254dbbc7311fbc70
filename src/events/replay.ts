import type { ResponseEvent } from '../responses/event.ts';
import { outputOf, type UpstreamResponse } from '../responses/response.ts';
import { createStreamedOutput } from '../responses/streamed-output.ts';
import type { LogEntry } from './event-log.ts';

/**
 * ReplayEvent is one event of a replay. An `attempt` entry separates two responses: the response before it
 * was lost or failed, and the events after it belong to the next response.
 */
export type ReplayEvent =
  | { kind: 'attempt'; attempt: number; reason: string }
  | { kind: 'event'; attempt: number; event: ResponseEvent };

/**
 * Replay is a job's event log as one list of events, each once and in order. The list only grows, and it is
 * the same each time it is built.
 */
export interface Replay {
  readonly events: readonly ReplayEvent[];
  /** The index in `events` at which the latest attempt begins. */
  readonly latestBegins: number;
  add(entry: LogEntry): void;
  /** Adds what the final answer has and the log lacks: the whole answer if nothing was streamed. */
  complete(response: UpstreamResponse): void;
}

const UNKNOWN_REASON = 'the worker of the previous attempt died';

/**
 * createReplay makes an empty replay. The items of each response are numbered from 0. The items of a lost
 * response stay without an end, because nothing more is known about them.
 */
export function createReplay(): Replay {
  const events: ReplayEvent[] = [];
  let attempt = 1;
  let latestBegins = 0;
  let purchase: number | undefined;
  /** What the current response has streamed. */
  let streamed = createStreamedOutput();

  const append = (added: readonly ResponseEvent[]): void => {
    for (const event of added) events.push({ kind: 'event', attempt, event });
  };

  const beginAnew = (next: number, reason: string): void => {
    streamed = createStreamedOutput();
    attempt = next;
    latestBegins = events.length;
    events.push({ kind: 'attempt', attempt, reason });
  };

  return {
    events,
    get latestBegins() {
      return latestBegins;
    },
    add(entry) {
      // Without items, nothing was streamed since the attempt was announced, so the entry belongs to that
      // attempt's response.
      const isAnother = purchase !== undefined && entry.purchase !== purchase && !streamed.isEmpty;
      if (entry.attempt > attempt && (entry.reason !== undefined || isAnother || purchase === undefined)) {
        beginAnew(entry.attempt, entry.reason ?? UNKNOWN_REASON);
      } else if (isAnother) beginAnew(entry.attempt, UNKNOWN_REASON);
      purchase = entry.purchase;
      for (const event of entry.events) append(streamed.add(event));
    },
    complete(response) {
      const output = outputOf(response);
      const rest = streamed.complete(output);
      if (rest !== undefined) return append(rest);
      // The final response was bought after the one that was streamed, and was not streamed itself.
      beginAnew(attempt, UNKNOWN_REASON);
      append(streamed.complete(output) ?? []);
    },
  };
}
