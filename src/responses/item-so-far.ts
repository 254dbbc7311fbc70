import type { ResponseEvent } from './event.ts';
import {
  type Fields,
  ITEM_TEXTS,
  isFields,
  type PartList,
  partsOf,
  textOf,
  textsOf,
} from './output-item-fields.ts';

export const ITEM_ADDED = 'response.output_item.added';
export const ITEM_DONE = 'response.output_item.done';

/** ItemSoFar collects the events of one output item, and builds the item from them. */
export interface ItemSoFar {
  /** The item as its first event shows it; undefined: that event has not come. */
  readonly opened: Fields | undefined;
  /** The item as its last event shows it; undefined: that event has not come. */
  readonly ended: Fields | undefined;
  /** Whether a text of the item was streamed. */
  readonly hasText: boolean;
  /** The parts of a list that were opened, by their indexes. */
  parts(list: PartList): ReadonlyMap<number, Fields>;
  /** Whether an event of this type has come for the part at `place`. */
  has(type: string, place: Fields): boolean;
  /** The deltas of a text so far, joined. @param type the beginning of the deltas' event type. */
  text(type: string, place: Fields): string;
  /** Records an event in which the place (the item and the part) is filled in. */
  note(event: ResponseEvent): void;
  /**
   * Returns whether `final` can be the final form of this item: it has the same id, or none of its texts
   * contradicts a streamed text.
   */
  matches(final: Fields): boolean;
  /**
   * Returns the item with the longer of each streamed text and its text in `final`; undefined for an
   * incomplete tool call.
   */
  merged(final?: Fields): Fields | undefined;
}

export function createItemSoFar(): ItemSoFar {
  /** Types of the events so far, each with the index of its part. */
  const seen = new Set<string>();
  const texts = new Map<string, string>();
  const parts = { content: new Map<number, Fields>(), summary: new Map<number, Fields>() };
  let opened: Fields | undefined;
  let ended: Fields | undefined;

  /**
   * Returns the parts of a list, each with its streamed text, or with its text in `final` where that is
   * longer.
   */
  const mergedParts = (list: PartList, final: Fields): Fields[] =>
    [...new Map([...parts[list], ...partsOf(final, list)])]
      .sort(([one], [other]) => one - other)
      .map(([i, part]) => {
        const { type, field } = textOf(part);
        const text = longer(part[field], texts.get(`${type} ${i}`));
        return text === part[field] ? part : { ...part, [field]: text };
      });

  return {
    get opened() {
      return opened;
    },
    get ended() {
      return ended;
    },
    get hasText() {
      return [...texts.values()].some((text) => text !== '');
    },
    parts: (list) => parts[list],
    has: (type, place) => seen.has(keyOf(type, place)),
    text: (type, place) => texts.get(keyOf(type, place)) ?? '',
    note(event) {
      const { type, content_index, summary_index, item, delta, part } = event;
      seen.add(keyOf(type, event));
      if (type === ITEM_ADDED && isFields(item)) opened = item;
      if (type === ITEM_DONE && isFields(item)) ended = item;
      if (isFields(part)) {
        if (content_index !== undefined) parts.content.set(content_index, part);
        if (summary_index !== undefined) parts.summary.set(summary_index, part);
      }
      if (typeof delta === 'string' && type.endsWith('.delta')) {
        const key = keyOf(type.slice(0, -'.delta'.length), event);
        texts.set(key, (texts.get(key) ?? '') + delta);
      }
    },
    matches(final) {
      if (opened === undefined) return true;
      if (opened['type'] !== final['type']) return false;
      if (opened['id'] !== undefined && opened['id'] === final['id']) return true;
      const whole = textsOf(final);
      return [...texts].every(([key, text]) => {
        const said = whole.get(key) ?? '';
        return said.startsWith(text) || text.startsWith(said);
      });
    },
    merged(final) {
      const base = final ?? ended ?? opened;
      // An incomplete tool call is useless, and an unfinished search has no content.
      if (base === undefined || (base === opened && !isMessageOrReasoning(base))) return undefined;
      const whole = ITEM_TEXTS[String(base['type'])];
      if (whole !== undefined) {
        return { ...base, [whole.field]: longer(base[whole.field], texts.get(`${whole.type} `)) };
      }
      const content = mergedParts('content', base);
      const summary = mergedParts('summary', base);
      return {
        ...base,
        ...(base === opened && 'status' in opened && { status: 'completed' }),
        ...((content.length > 0 || 'content' in base) && { content }),
        ...((summary.length > 0 || 'summary' in base) && { summary }),
      };
    },
  };
}

export function isMessageOrReasoning(item: Fields | undefined): boolean {
  return item?.['type'] === 'message' || item?.['type'] === 'reasoning';
}

/** longer returns the streamed text where it continues the final text, else the final text. */
function longer(final: unknown, streamed: string | undefined): unknown {
  if (typeof final !== 'string') return streamed ?? final;
  return streamed?.startsWith(final) ? streamed : final;
}

/** keyOf returns a key that distinguishes events of one type within an item. */
function keyOf(type: string, { summary_index, content_index, annotation_index }: Fields): string {
  const places = [summary_index ?? content_index, annotation_index].filter((place) => place !== undefined);
  return `${type} ${places.join(' ')}`;
}
