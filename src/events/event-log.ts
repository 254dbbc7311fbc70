import { isPartOfAnswer, joined, type ResponseEvent } from '../responses/event.ts';
import { isInFinalOutput } from '../responses/output-item-fields.ts';

/**
 * LogEntry is one entry of a job's event log. The log has what the upstream streamed, in order, over all
 * attempts. The worker that holds the job's lock writes the log in batches, and watchers read it. The log is
 * kept as long as the job.
 *
 * An entry of the Redis stream has the fields `a` (the attempt), `p` (how many responses had been bought for
 * the job by then, which distinguishes one response from the next), and `e` (events as JSON) or `r` (why a
 * new attempt begins).
 */
export interface LogEntry {
  attempt: number;
  purchase: number;
  events: ResponseEvent[];
  /** Why another attempt begins; undefined for an entry with events. */
  reason: string | undefined;
}

/**
 * Written is an event in its stored form. Deltas of the text are most of a log, so such a delta is stored as
 * `[output index, content index, delta]` if an earlier event had the id of the item at that index.
 */
type Written = ResponseEvent | [number, number, string];

const TEXT_DELTA = 'response.output_text.delta';

/** Item ids by output index. The writer and the reader both learn them from earlier events. */
type ItemIds = Map<number, string>;

/** LogBatch collects events of one response that are not written yet. */
export class LogBatch {
  readonly #itemIds: ItemIds = new Map();
  #events: ResponseEvent[] = [];
  /** Whether the batch has an event that the final response does not tell. */
  hasMoreThanResponse = false;

  /**
   * Adds an event. It joins consecutive deltas, and drops padding and events that are not part of the answer.
   */
  add({ obfuscation: _padding, sequence_number: _number, ...event }: ResponseEvent): void {
    if (!isPartOfAnswer(event)) return;
    const last = this.#events.at(-1);
    const both = last === undefined ? undefined : joined(last, event);
    if (both !== undefined) {
      this.#events[this.#events.length - 1] = both;
      return;
    }
    this.#events.push(event);
    this.hasMoreThanResponse ||= !isInFinalOutput(event);
  }

  /** Returns the batch in its stored form, and empties the batch. */
  take(): string {
    const written = this.#events.map((event) => this.#write(event));
    this.#events = [];
    this.hasMoreThanResponse = false;
    return written.length === 0 ? '' : JSON.stringify(written);
  }

  #write(event: ResponseEvent): Written {
    learnItem(this.#itemIds, event);
    const { type, output_index, item_id, content_index, delta, logprobs, ...rest } = event;
    const isPlain =
      type === TEXT_DELTA &&
      Object.keys(rest).length === 0 &&
      Array.isArray(logprobs) &&
      logprobs.length === 0;
    if (
      isPlain &&
      output_index !== undefined &&
      content_index !== undefined &&
      typeof delta === 'string' &&
      this.#itemIds.get(output_index) === item_id
    ) {
      return [output_index, content_index, delta];
    }
    return event;
  }
}

/** createEventLogReader reads the entries of one log, in order. */
export function createEventLogReader(): (fields: readonly string[]) => LogEntry {
  const itemIds: ItemIds = new Map();
  let purchase = -1;
  const read = (written: Written): ResponseEvent => {
    if (!Array.isArray(written)) {
      learnItem(itemIds, written);
      return written;
    }
    const [output_index, content_index, delta] = written;
    const item_id = itemIds.get(output_index) ?? '';
    return { type: TEXT_DELTA, item_id, output_index, content_index, delta, logprobs: [] };
  };
  return (fields) => {
    const values = new Map<string, string>();
    for (let i = 0; i + 1 < fields.length; i += 2) values.set(fields[i] ?? '', fields[i + 1] ?? '');
    const bought = Number(values.get('p'));
    if (bought !== purchase) itemIds.clear();
    purchase = bought;
    const events = values.get('e');
    return {
      attempt: Number(values.get('a')),
      purchase,
      events: events === undefined ? [] : (JSON.parse(events) as Written[]).map(read),
      reason: values.get('r'),
    };
  };
}

function learnItem(itemIds: ItemIds, { type, output_index, item }: ResponseEvent): void {
  if (type !== 'response.output_item.added' || output_index === undefined) return;
  if (typeof item === 'object' && item !== null && 'id' in item) itemIds.set(output_index, String(item.id));
}
