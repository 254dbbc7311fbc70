import type { ResponseEvent } from './event.ts';
import type { Fields, Owner, PartList, Text } from './output-item-fields.ts';
import {
  emptied,
  ITEM_TEXTS,
  isFields,
  openedItem,
  ownerOf,
  partsOf,
  SUMMARY_TEXT,
  textOf,
  textsOf,
} from './output-item-fields.ts';

/** StreamedItem is one item of a response's output, as far as it has been streamed. */
export interface StreamedItem {
  readonly id: string | undefined;
  /** The item's type; undefined: no event names it. */
  readonly type: string | undefined;
  /** Whether its last event has come. */
  readonly isDone: boolean;
  /** Whether a text of it was streamed. */
  readonly hasText: boolean;
  /**
   * Applies an event of the item.
   * @returns the event with its place in the replay, after the events before it that the server has left out;
   * nothing for an event that only repeats an earlier one.
   */
  apply(event: ResponseEvent): ResponseEvent[];
  /** Returns whether a final item can be this one: none of its texts contradicts the streamed one. */
  matches(final: Fields): boolean;
  /** Returns the events that are missing until the item looks like `final`. */
  complete(final: unknown): ResponseEvent[];
  /** Returns the events that end the item as incomplete: the final output does not have it. */
  closeIncomplete(): ResponseEvent[];
  /**
   * Returns the item with the longer of each streamed text and its text in `final`; undefined for an
   * incomplete tool call.
   */
  merged(final?: Fields): Fields | undefined;
}

const ITEM_ADDED = 'response.output_item.added';
const ITEM_DONE = 'response.output_item.done';

/** @param index the item's index in the replay. */
export function createStreamedItem(index: number): StreamedItem {
  /** Types of the events so far, each with the index of its part. */
  const seen = new Set<string>();
  const texts = new Map<string, string>();
  const parts = { content: new Map<number, Fields>(), summary: new Map<number, Fields>() };
  let opened: Fields | undefined;
  let ended: Fields | undefined;
  const id = (): string => String(opened?.['id'] ?? `item_${index}`);

  /** Records an event that has its place. */
  const note = (event: ResponseEvent): void => {
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
  };
  const noteAll = (events: Iterable<ResponseEvent>): ResponseEvent[] => {
    const all: ResponseEvent[] = [];
    for (const event of events) {
      note(event);
      all.push(event);
    }
    return all;
  };

  /** Returns the event with its place filled in, after the events that should have come before it. */
  function* placed(event: ResponseEvent): Generator<ResponseEvent> {
    const { type, item } = event;
    if (type === ITEM_ADDED) {
      if (opened !== undefined || !isFields(item)) return;
      yield {
        ...event,
        output_index: index,
        ...(item['id'] === undefined && { item: { id: id(), ...item } }),
      };
      return;
    }
    if (type === ITEM_DONE) {
      if (isFields(item)) yield* rest(merged(item) ?? item);
      return;
    }
    const owner = ownerOf(event);
    if (owner === undefined) {
      yield { ...event, output_index: index };
      return;
    }
    if (opened === undefined) {
      const added = openedItem(owner.item, event.item_id ?? id());
      yield { type: ITEM_ADDED, output_index: index, item: added };
    }
    yield* placedText({ ...event, item_id: id(), output_index: index }, owner);
  }

  function* placedText(event: ResponseEvent, { list, part, text }: Owner): Generator<ResponseEvent> {
    if (list === undefined || part === undefined) {
      yield* withRestOfText(event, text);
      return;
    }
    const place = list === 'content' ? 'content_index' : 'summary_index';
    const at = event[place] ?? placeOf(list, text, event.type.endsWith('part.added'));
    const whole: ResponseEvent = { ...event, [place]: at };
    const partType = list === 'content' ? 'response.content_part' : 'response.reasoning_summary_part';
    if (event.type === `${partType}.added`) {
      yield* once(event.type, whole);
      return;
    }
    if (!parts[list].has(at)) {
      yield { type: `${partType}.added`, ...placeIn(whole), part };
    }
    if (event.type === `${partType}.done`) {
      const full = isFields(event['part']) ? event['part'][text.field] : undefined;
      yield* restOfText(text, full, placeIn(whole));
      yield* once(event.type, whole);
    } else yield* withRestOfText(whole, text);
  }

  /** Some servers leave out deltas. The event that ends the text then supplies the rest. */
  function* withRestOfText(event: ResponseEvent, text: Text): Generator<ResponseEvent> {
    if (event.type === `${text.type}.done`) yield* restOfDeltas(text, event[text.field], placeIn(event));
    if (event.type.endsWith('.delta')) yield event;
    else yield* once(event.type, event);
  }

  /** The index of a text whose server names none: the last part with such a text, or the next part. */
  const placeOf = (list: PartList, text: Text, isNew: boolean): number => {
    const alike = [...parts[list]].filter(([, part]) => textOf(part).type === text.type).map(([i]) => i);
    const last = isNew ? undefined : alike.at(-1);
    return last ?? Math.max(-1, ...parts[list].keys()) + 1;
  };

  function* rest(final: Fields): Generator<ResponseEvent> {
    if (seen.has(`${ITEM_DONE} `)) return;
    const item: Fields = { ...final, id: opened?.['id'] ?? final['id'] ?? id() };
    if (opened === undefined) {
      yield { type: ITEM_ADDED, output_index: index, item: emptied(item) };
    }
    const place = { item_id: String(item['id']), output_index: index };
    for (const [summary_index, part] of partsOf(item, 'summary')) {
      const at = { ...place, summary_index };
      yield* once('response.reasoning_summary_part.added', { ...at, part: { ...part, text: '' } });
      yield* restOfText(SUMMARY_TEXT, part['text'], at);
      yield* once('response.reasoning_summary_part.done', { ...at, part });
    }
    for (const [content_index, part] of partsOf(item, 'content')) {
      const at = { ...place, content_index };
      const text = textOf(part);
      yield* once('response.content_part.added', { ...at, part: emptied(part) });
      const logprobs = part['logprobs'];
      yield* restOfText(
        text,
        part[text.field],
        at,
        text.logprobs && Array.isArray(logprobs) ? { logprobs } : {},
      );
      yield* annotations(part, at);
      yield* once('response.content_part.done', { ...at, part });
    }
    const text = ITEM_TEXTS[String(item['type'])];
    const named = text !== undefined && typeof item['name'] === 'string' && { name: item['name'] };
    if (text !== undefined) yield* restOfText(text, item[text.field], place, { ...named });
    yield { type: ITEM_DONE, output_index: index, item };
  }

  function* once(type: string, fields: Fields): Generator<ResponseEvent> {
    if (!seen.has(keyOf(type, fields))) yield { ...fields, type };
  }

  function* restOfText(text: Text, whole: unknown, at: Fields, more: Fields = {}): Generator<ResponseEvent> {
    if (typeof whole !== 'string') return;
    yield* restOfDeltas(text, whole, at);
    yield* once(`${text.type}.done`, { ...at, [text.field]: whole, ...text.logprobs, ...more });
  }

  function* restOfDeltas({ type, logprobs }: Text, whole: unknown, at: Fields): Generator<ResponseEvent> {
    const known = texts.get(keyOf(type, at)) ?? '';
    if (typeof whole === 'string' && whole.length > known.length && whole.startsWith(known)) {
      yield { type: `${type}.delta`, ...at, delta: whole.slice(known.length), ...logprobs };
    }
  }

  function* annotations(part: Fields, at: Fields): Generator<ResponseEvent> {
    const all: unknown[] = Array.isArray(part['annotations']) ? part['annotations'] : [];
    for (const [annotation_index, annotation] of all.entries()) {
      yield* once('response.output_text.annotation.added', { ...at, annotation_index, annotation });
    }
  }

  const complete = (final: unknown): ResponseEvent[] => (isFields(final) ? noteAll(rest(final)) : []);

  /** Returns the parts of a list, each with its text so far, or as `final` has it where that is longer. */
  const mergedParts = (list: PartList, final: Fields | undefined): Fields[] => {
    const all = new Map([...parts[list], ...(final === undefined ? [] : partsOf(final, list))]);
    return [...all]
      .sort(([one], [other]) => one - other)
      .map(([i, part]) => {
        const { type, field } = textOf(part);
        const text = longer(part[field], texts.get(`${type} ${i}`));
        return text === part[field] ? part : { ...part, [field]: text };
      });
  };

  const merged = (final?: Fields): Fields | undefined => {
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
  };

  return {
    get id() {
      return opened === undefined ? undefined : String(opened['id']);
    },
    get type() {
      return opened === undefined ? undefined : String(opened['type']);
    },
    get isDone() {
      return ended !== undefined;
    },
    get hasText() {
      return [...texts.values()].some((text) => text !== '');
    },
    apply: (event) => noteAll(placed(event)),
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
    complete,
    closeIncomplete() {
      // A client acts on a finished tool call, so an incomplete one must never look finished.
      return isMessageOrReasoning(opened) ? complete({ ...merged(), status: 'incomplete' }) : [];
    },
    merged,
  };
}

/** longer returns the streamed text where it continues the final text, else the final text. */
function longer(final: unknown, streamed: string | undefined): unknown {
  if (typeof final !== 'string') return streamed ?? final;
  return streamed?.startsWith(final) ? streamed : final;
}

function isMessageOrReasoning(item: Fields | undefined): boolean {
  return item?.['type'] === 'message' || item?.['type'] === 'reasoning';
}

function placeIn({ item_id, output_index, content_index, summary_index }: ResponseEvent): Fields {
  return {
    item_id,
    output_index,
    ...(content_index !== undefined && { content_index }),
    ...(summary_index !== undefined && { summary_index }),
  };
}

/** keyOf returns a key that distinguishes events of one type within an item. */
function keyOf(type: string, { summary_index, content_index, annotation_index }: Fields): string {
  const places = [summary_index ?? content_index, annotation_index].filter((place) => place !== undefined);
  return `${type} ${places.join(' ')}`;
}
