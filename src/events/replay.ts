import type { ResponseEvent } from '../responses/event.ts';
import { outputOf, type UpstreamResponse } from '../responses/response.ts';
import { createStreamedItem, type StreamedItem } from '../responses/streamed-item.ts';
import type { LogEntry } from './event-log.ts';

/**
 * What is said in a job's answer, in order, each once: the same list for everybody who reads it, whenever. Only its end grows.
 *
 * `attempt`: what was said before it belongs to a response that was lost or has failed, and is said anew.
 */
export type ReplayEvent =
  | { kind: 'attempt'; attempt: number; reason: string }
  | { kind: 'event'; attempt: number; event: ResponseEvent };

export interface Replay {
  readonly said: readonly ReplayEvent[];
  add(entry: LogEntry): void;
  /** Adds what the journal lacks of the final answer: all of it where nothing was streamed. */
  complete(response: UpstreamResponse): void;
}

const UNKNOWN_REASON = 'the worker of the attempt before it died';

/**
 * Items of a new response come after those of the earlier one, which end as incomplete: so that each item of the whole transcript has an index
 * of its own, as readers of OpenAI's streams expect.
 */
export function createReplay(): Replay {
  const said: ReplayEvent[] = [];
  let attempt = 1;
  let purchase: number | undefined;
  /** The items of the response that is being read, by the index that the upstream gave them. */
  let items = new Map<number, StreamedItem>();
  /** How many items have an index. */
  let indexes = 0;

  const say = (event: ResponseEvent): void => void said.push({ kind: 'event', attempt, event });

  const beginAnew = (next: number, reason: string): void => {
    for (const item of items.values()) for (const event of item.abandon()) say(event);
    items = new Map();
    attempt = next;
    said.push({ kind: 'attempt', attempt, reason });
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
    said,
    add(entry) {
      // Nothing has been heard since the attempt was announced: this is its response.
      const isAnother = purchase !== undefined && entry.purchase !== purchase && items.size > 0;
      if (entry.attempt > attempt && (entry.reason !== undefined || isAnother || purchase === undefined)) {
        beginAnew(entry.attempt, entry.reason ?? UNKNOWN_REASON);
      } else if (isAnother) beginAnew(entry.attempt, UNKNOWN_REASON);
      purchase = entry.purchase;
      for (const event of entry.events) {
        if (event.output_index === undefined) say(event);
        else say(itemAt(event.output_index).hear(event));
      }
    },
    complete(response) {
      const output = outputOf(response);
      // It was bought after what was streamed, and not streamed itself.
      if ([...items].some(([i, item]) => !item.mayBe(output[i]))) beginAnew(attempt, UNKNOWN_REASON);
      for (const [upstreamIndex, final] of output.entries()) {
        for (const event of itemAt(upstreamIndex).complete(final)) say(event);
      }
    },
  };
}
