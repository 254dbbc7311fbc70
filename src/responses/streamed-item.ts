import type { ResponseEvent } from './event.ts';
import {
  createItemSoFar,
  ITEM_ADDED,
  ITEM_DONE,
  type ItemSoFar,
  isMessageOrReasoning,
} from './item-so-far.ts';
import type { Fields, Owner, PartList, Text } from './output-item-fields.ts';
import {
  emptied,
  ITEM_TEXTS,
  isFields,
  itemTypeOf,
  openedItem,
  ownerOf,
  partsOf,
  placeholderId,
  SUMMARY_TEXT,
  textOf,
  toolItemOf,
} from './output-item-fields.ts';

/** StreamedItem is one item of a response's output, as far as it has been streamed. */
export interface StreamedItem extends Pick<ItemSoFar, 'hasText' | 'matches' | 'merged'> {
  readonly id: string | undefined;
  /** The item's type; undefined: no event names it. */
  readonly type: string | undefined;
  /** Whether the last event of the item has come. */
  readonly isDone: boolean;
  /**
   * Applies an event of the item.
   * @returns the events to add to the replay: first the events that the server left out before this one, then
   * this event with its place. Empty when the event only repeats an earlier one.
   */
  apply(event: ResponseEvent): ResponseEvent[];
  /** Returns the events that are missing until the item looks like `final`. */
  complete(final: unknown): ResponseEvent[];
  /** Returns the events that end the item as incomplete, when the final output does not contain the item. */
  closeIncomplete(): ResponseEvent[];
}

const ARGUMENTS_DONE = 'response.function_call_arguments.done';

/** @param index the item's index in the replay. */
export function createStreamedItem(index: number): StreamedItem {
  const soFar = createItemSoFar();
  const id = (type: string | undefined): string => String(soFar.opened?.['id'] ?? placeholderId(type, index));

  const noteAll = (events: Iterable<ResponseEvent>): ResponseEvent[] => {
    const all: ResponseEvent[] = [];
    for (const event of events) {
      soFar.note(event);
      all.push(event);
    }
    return all;
  };

  const isUnplacedToolEvent = (event: ResponseEvent): boolean =>
    event.item_id === undefined && soFar.opened !== undefined && toolItemOf(event) === soFar.opened['type'];

  /** Returns the event with its place filled in, after the events that should have come before it. */
  function* placed(event: ResponseEvent): Generator<ResponseEvent> {
    const { type, item } = event;
    if (type === ITEM_ADDED) {
      if (soFar.opened !== undefined || !isFields(item)) return;
      yield {
        ...event,
        output_index: index,
        ...(item['id'] === undefined && { item: { ...item, id: id(itemTypeOf(item)) } }),
      };
      return;
    }
    if (type === ITEM_DONE) {
      if (isFields(item)) yield* rest(soFar.merged(item) ?? item);
      return;
    }
    const owner = ownerOf(event);
    if (owner === undefined) {
      yield { ...event, output_index: index, ...(isUnplacedToolEvent(event) && { item_id: id(undefined) }) };
      return;
    }
    if (soFar.opened === undefined) {
      const added = openedItem(owner.item, event.item_id ?? id(owner.item));
      yield { type: ITEM_ADDED, output_index: index, item: added };
    }
    yield* placedText({ ...event, item_id: id(owner.item), output_index: index }, owner);
  }

  function* placedText(event: ResponseEvent, { list, part, text }: Owner): Generator<ResponseEvent> {
    if (list === undefined || part === undefined) {
      yield* withRestOfText(withCalledName(event), text);
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
    if (!soFar.parts(list).has(at)) {
      yield { type: `${partType}.added`, ...placeIn(whole), part };
    }
    if (event.type === `${partType}.done`) {
      const full = isFields(event['part']) ? event['part'][text.field] : undefined;
      yield* restOfText(text, full, placeIn(whole));
      yield* once(event.type, whole);
    } else yield* withRestOfText(whole, text);
  }

  /** OpenAI repeats the name of the function where its arguments end. */
  const withCalledName = (event: ResponseEvent): ResponseEvent => {
    const name = soFar.opened?.['name'];
    if (event.type !== ARGUMENTS_DONE || event['name'] !== undefined || !name) return event;
    return { ...event, name };
  };

  /** Some servers leave out deltas. The event that ends the text then supplies the rest. */
  function* withRestOfText(event: ResponseEvent, text: Text): Generator<ResponseEvent> {
    if (event.type === `${text.type}.done`) yield* restOfDeltas(text, event[text.field], placeIn(event));
    if (event.type.endsWith('.delta')) yield event;
    else yield* once(event.type, event);
  }

  /**
   * placeOf returns the index of a text for which the server names none: that of the last part with such a
   * text, or that of the next part.
   */
  const placeOf = (list: PartList, text: Text, isNew: boolean): number => {
    const alike = [...soFar.parts(list)]
      .filter(([, part]) => textOf(part).type === text.type)
      .map(([i]) => i);
    const last = isNew ? undefined : alike.at(-1);
    return last ?? Math.max(-1, ...soFar.parts(list).keys()) + 1;
  };

  function* rest(final: Fields): Generator<ResponseEvent> {
    if (soFar.has(ITEM_DONE, {})) return;
    const item: Fields = { ...final, id: soFar.opened?.['id'] ?? final['id'] ?? id(itemTypeOf(final)) };
    if (soFar.opened === undefined) {
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
    if (!soFar.has(type, fields)) yield { ...fields, type };
  }

  function* restOfText(text: Text, whole: unknown, at: Fields, more: Fields = {}): Generator<ResponseEvent> {
    if (typeof whole !== 'string') return;
    yield* restOfDeltas(text, whole, at);
    yield* once(`${text.type}.done`, { ...at, [text.field]: whole, ...text.logprobs, ...more });
  }

  function* restOfDeltas({ type, logprobs }: Text, whole: unknown, at: Fields): Generator<ResponseEvent> {
    const known = soFar.text(type, at);
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

  return {
    get id() {
      return soFar.opened === undefined ? undefined : String(soFar.opened['id']);
    },
    get type() {
      return soFar.opened === undefined ? undefined : String(soFar.opened['type']);
    },
    get isDone() {
      return soFar.ended !== undefined;
    },
    get hasText() {
      return soFar.hasText;
    },
    apply: (event) => noteAll(placed(event)),
    matches: soFar.matches,
    complete,
    closeIncomplete() {
      // A client acts on a finished tool call, so an incomplete call must never look finished.
      return isMessageOrReasoning(soFar.opened) ? complete({ ...soFar.merged(), status: 'incomplete' }) : [];
    },
    merged: soFar.merged,
  };
}

function placeIn({ item_id, output_index, content_index, summary_index }: ResponseEvent): Fields {
  return {
    item_id,
    output_index,
    ...(content_index !== undefined && { content_index }),
    ...(summary_index !== undefined && { summary_index }),
  };
}
