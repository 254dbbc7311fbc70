import type { ResponseEvent } from './event.ts';
import type { Fields, Text } from './output-item-fields.ts';
import {
  emptied,
  ITEM_TEXTS,
  isFields,
  partsOf,
  SUMMARY_TEXT,
  textOf,
  textsOf,
} from './output-item-fields.ts';

/** StreamedItem is one item of a response's output, as far as it has been streamed. */
export interface StreamedItem {
  /** Applies an event of the item. @returns the event with the item's index in the replay. */
  apply(event: ResponseEvent): ResponseEvent;
  /**
   * Returns whether a final item is this one: by its id or, because some servers give final items other ids
   * than those they streamed, by its texts so far. An item without events matches any.
   */
  matches(final: unknown): boolean;
  /** Returns the events that are missing until the item looks like `final`. */
  complete(final: unknown): ResponseEvent[];
  /** Returns the events that end the item as incomplete: its response is lost. */
  closeIncomplete(): ResponseEvent[];
}

const ITEM_DONE = 'response.output_item.done';

/** @param index the item's index in the replay. */
export function createStreamedItem(index: number): StreamedItem {
  /** Types of the events so far, each with the index of its part. */
  const seen = new Set<string>();
  const texts = new Map<string, string>();
  const parts = { content: new Map<number, Fields>(), summary: new Map<number, Fields>() };
  let opened: Fields | undefined;

  const apply = (event: ResponseEvent): ResponseEvent => {
    const { type, content_index, summary_index, item, delta } = event;
    seen.add(keyOf(type, event));
    if (type === 'response.output_item.added' && isFields(item)) opened = item;
    if (isFields(event['part'])) {
      if (content_index !== undefined) parts.content.set(content_index, event['part']);
      if (summary_index !== undefined) parts.summary.set(summary_index, event['part']);
    }
    if (typeof delta === 'string' && type.endsWith('.delta')) {
      const key = keyOf(type.slice(0, -'.delta'.length), event);
      texts.set(key, (texts.get(key) ?? '') + delta);
    }
    return { ...event, output_index: index };
  };

  function* rest(final: Fields): Generator<ResponseEvent> {
    if (seen.has(`${ITEM_DONE} `)) return;
    const id = opened?.['id'] ?? final['id'];
    const item: Fields = { ...final, ...(id !== undefined && { id }) };
    if (opened === undefined) {
      yield { type: 'response.output_item.added', output_index: index, item: emptied(item) };
    }
    const place = { item_id: String(id ?? ''), output_index: index };
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
    if (!seen.has(keyOf(type, fields))) yield { type, ...fields };
  }

  function* restOfText(
    { type, field, logprobs }: Text,
    whole: unknown,
    at: Fields,
    more: Fields = {},
  ): Generator<ResponseEvent> {
    if (typeof whole !== 'string') return;
    const known = texts.get(keyOf(type, at)) ?? '';
    if (whole.length > known.length && whole.startsWith(known)) {
      yield { type: `${type}.delta`, ...at, delta: whole.slice(known.length), ...logprobs };
    }
    yield* once(`${type}.done`, { ...at, [field]: whole, ...logprobs, ...more });
  }

  function* annotations(part: Fields, at: Fields): Generator<ResponseEvent> {
    const all: unknown[] = Array.isArray(part['annotations']) ? part['annotations'] : [];
    for (const [annotation_index, annotation] of all.entries()) {
      yield* once('response.output_text.annotation.added', { ...at, annotation_index, annotation });
    }
  }

  const complete = (final: unknown): ResponseEvent[] => {
    if (!isFields(final)) return [];
    const events = [...rest(final)];
    for (const event of events) apply(event);
    return events;
  };

  /** Returns the parts as they stand, each with its text so far. */
  const partsSoFar = (field: 'content' | 'summary', textIn: (part: Fields) => Text): Fields[] =>
    [...parts[field]].map(([i, part]) => {
      const text = textIn(part);
      const soFar = texts.get(`${text.type} ${i}`);
      return soFar === undefined ? part : { ...part, [text.field]: soFar };
    });

  return {
    apply,
    matches(final) {
      if (opened === undefined) return true;
      if (!isFields(final) || opened['type'] !== final['type']) return false;
      if (opened['id'] !== undefined && opened['id'] === final['id']) return true;
      const whole = textsOf(final);
      const soFar = [...texts].filter(([, text]) => text !== '');
      return soFar.length > 0 && soFar.every(([key, text]) => whole.get(key)?.startsWith(text) ?? true);
    },
    complete,
    closeIncomplete() {
      switch (opened?.['type']) {
        case 'message':
          return complete({ ...opened, status: 'incomplete', content: partsSoFar('content', textOf) });
        case 'reasoning': {
          const content = partsSoFar('content', textOf);
          const summary = partsSoFar('summary', () => SUMMARY_TEXT);
          return complete({
            ...opened,
            status: 'incomplete',
            summary,
            ...(content.length > 0 && { content }),
          });
        }
        default:
          // A client acts on a tool call when it is done, so half a call must never look done.
          return [];
      }
    },
  };
}

/** keyOf tells the events of one type within an item apart. */
function keyOf(type: string, { summary_index, content_index, annotation_index }: Fields): string {
  const places = [summary_index ?? content_index, annotation_index].filter((place) => place !== undefined);
  return `${type} ${places.join(' ')}`;
}
