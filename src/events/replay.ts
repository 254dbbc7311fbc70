import type { ResponseEvent } from '../responses/event.ts';
import { outputOf, type UpstreamResponse } from '../responses/response.ts';
import { createStreamedItem, type StreamedItem } from '../responses/streamed-item.ts';
import type { LogEntry } from './event-log.ts';

/**
 * ReplayEvent is one entry of a job's replay: the log read from its beginning, each event once and in order.
 * Every reader gets the same list at any time, and only its end grows.
 *
 * After an `attempt` the events before it no longer count: their response was lost or failed, and the answer
 * begins again.
 */
export type ReplayEvent =
  | { kind: 'attempt'; attempt: number; reason: string }
  | { kind: 'event'; attempt: number; event: ResponseEvent };

export interface Replay {
  readonly events: readonly ReplayEvent[];
  add(entry: LogEntry): void;
  /** Adds what the log lacks of the final answer: all of it if nothing was streamed. */
  complete(response: UpstreamResponse): void;
}

const UNKNOWN_REASON = 'the worker of the attempt before it died';

/**
 * createReplay makes an empty replay. Items of a new response follow those of the earlier one, which end as
 * incomplete. Each item of the whole replay thus has an index of its own, as readers of OpenAI's streams
 * expect.
 */
export function createReplay(): Replay {
  const events: ReplayEvent[] = [];
  let attempt = 1;
  let purchase: number | undefined;
  /** The items of the current response, by the index that the upstream gave them. */
  let items = new Map<number, StreamedItem>();
  /** How many items have an index. */
  let indexes = 0;

  const push = (event: ResponseEvent): void => void events.push({ kind: 'event', attempt, event });

  const beginAgain = (next: number, reason: string): void => {
    for (const item of items.values()) for (const event of item.closeIncomplete()) push(event);
    items = new Map();
    attempt = next;
    events.push({ kind: 'attempt', attempt, reason });
  };

  const itemAt = (upstreamIndex: number): StreamedItem => {
    const known = items.get(upstreamIndex);
    if (known !== undefined) return known;
    const item = createStreamedItem(indexes);
    indexes += 1;
    items.set(upstreamIndex, item);
    return item;
  };

  return {
    events,
    add(entry) {
      // No event has come since the attempt was announced: this entry is of its response.
      const isAnother = purchase !== undefined && entry.purchase !== purchase && items.size > 0;
      if (entry.attempt > attempt && (entry.reason !== undefined || isAnother || purchase === undefined)) {
        beginAgain(entry.attempt, entry.reason ?? UNKNOWN_REASON);
      } else if (isAnother) beginAgain(entry.attempt, UNKNOWN_REASON);
      purchase = entry.purchase;
      for (const event of entry.events) {
        if (event.output_index === undefined) push(event);
        else push(itemAt(event.output_index).apply(event));
      }
    },
    complete(response) {
      const output = outputOf(response);
      // The final response was bought after the streamed one, and was not streamed itself.
      if ([...items].some(([i, item]) => !item.matches(output[i]))) beginAgain(attempt, UNKNOWN_REASON);
      for (const [upstreamIndex, final] of output.entries()) {
        for (const event of itemAt(upstreamIndex).complete(final)) push(event);
      }
    },
  };
}
