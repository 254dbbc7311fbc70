import type { ResponseEvent } from './event.ts';
import { type Fields, isFields, itemTypeOf, ownerOf, toolItemOf } from './output-item-fields.ts';
import { createStreamedItem, type StreamedItem } from './streamed-item.ts';

/**
 * StreamedOutput is the output of one response, as far as it has been streamed. It repairs a stream, as
 * browsers repair HTML. If a server omits an index, an id, an opening or a closing event, StreamedOutput
 * fills it in. If the server sends an opening or a closing event twice, the second one is dropped.
 */
export interface StreamedOutput {
  /** Whether no item has been streamed yet. */
  readonly isEmpty: boolean;
  /** Adds an event. @returns the event, after those that belong before it; nothing for a repetition. */
  add(event: ResponseEvent): ResponseEvent[];
  /**
   * Returns the events that are missing until the output looks like the final one; undefined: what was
   * streamed is no part of the final output, because it comes from an earlier response.
   */
  complete(output: readonly unknown[]): ResponseEvent[] | undefined;
  /**
   * Returns the final output, completed by everything that was streamed and that the final output lacks. A
   * final output that contradicts what was streamed stays as it is.
   */
  merged(output: readonly unknown[]): unknown[];
}

export function createStreamedOutput(): StreamedOutput {
  const items: StreamedItem[] = [];
  /** For each index that the upstream has used, the last item that had this index. */
  const byIndex = new Map<number, StreamedItem>();

  const begin = (upstreamIndex: number | undefined): StreamedItem => {
    const item = createStreamedItem(items.length);
    items.push(item);
    if (upstreamIndex !== undefined) byIndex.set(upstreamIndex, item);
    return item;
  };
  const at = (index: number | undefined): StreamedItem | undefined =>
    index === undefined ? undefined : byIndex.get(index);
  const withId = (id: unknown): StreamedItem | undefined =>
    id === undefined ? undefined : items.find((item) => item.id === id);
  const lastOpen = (type: string): StreamedItem | undefined =>
    items.findLast((item) => item.type === type && !item.isDone);

  /**
   * Returns the item of an event about a whole item. If the item at the event's index has another id or type,
   * the event belongs to another item.
   */
  const itemOf = ({ type, output_index }: ResponseEvent, whole: Fields): StreamedItem => {
    const kind = String(whole['type']);
    const isSame = (item: StreamedItem | undefined): boolean =>
      item !== undefined &&
      (item.type === undefined || item.type === kind) &&
      (whole['id'] === undefined ? !item.isDone : item.type === undefined || item.id === whole['id']);
    const known = at(output_index);
    if (known !== undefined && isSame(known)) return known;
    const sameId = withId(whole['id']);
    if (sameId !== undefined) return sameId;
    const open = type === 'response.output_item.done' ? lastOpen(kind) : undefined;
    return open ?? begin(output_index);
  };

  /** Returns the item of an event about a text. */
  const itemOfText = ({ output_index, item_id }: ResponseEvent, kind: string): StreamedItem => {
    const fits = (item: StreamedItem | undefined): item is StreamedItem =>
      item !== undefined && (item.type ?? kind) === kind;
    const known = at(output_index);
    if (fits(known)) return known;
    const sameId = withId(item_id);
    if (fits(sameId)) return sameId;
    return (output_index === undefined ? lastOpen(kind) : undefined) ?? begin(output_index);
  };

  const placeOf = (event: ResponseEvent): StreamedItem | undefined => {
    if (isFields(event.item)) return itemOf(event, event.item);
    const owner = ownerOf(event);
    if (owner !== undefined) return itemOfText(event, owner.item);
    if (event.output_index === undefined) {
      const tool = event.item_id === undefined ? toolItemOf(event) : undefined;
      return tool === undefined ? withId(event.item_id) : lastOpen(tool);
    }
    return at(event.output_index) ?? begin(event.output_index);
  };

  /** Returns, for each final item, the streamed item that it ends; each streamed item ends once. */
  const paired = (finals: readonly unknown[]): (StreamedItem | undefined)[] => {
    const free = new Set(items);
    const take = (item: StreamedItem | undefined): StreamedItem | undefined =>
      item !== undefined && free.delete(item) ? item : undefined;
    const byId = finals.map((final) =>
      isFields(final) && final['id'] !== undefined
        ? take([...free].find((item) => item.id === final['id'] && item.matches(final)))
        : undefined,
    );
    return finals.map((final, i) => {
      if (byId[i] !== undefined || !isFields(final)) return byId[i];
      const fitting = [...free].filter((item) => item.matches(final));
      const same = fitting.find((item) => item === byIndex.get(i));
      return take(same ?? fitting.find((item) => item.hasText) ?? fitting[0]);
    });
  };

  return {
    get isEmpty() {
      return items.length === 0;
    },
    add(event) {
      const whole = withItemType(event);
      return placeOf(whole)?.apply(whole) ?? [whole];
    },
    complete(output) {
      const pairs = paired(output);
      const others = items.filter((item) => !pairs.includes(item));
      if (others.some((item) => item.hasText)) return undefined;
      return [
        ...output.flatMap((final, i) => (pairs[i] ?? begin(undefined)).complete(final)),
        ...others.flatMap((item) => item.closeIncomplete()),
      ];
    },
    merged(output) {
      const pairs = paired(output);
      const others = items.filter((item) => !pairs.includes(item));
      const isContradicted = output.some(
        (final, i) =>
          pairs[i] === undefined &&
          isFields(final) &&
          others.some((item) => item.hasText && item.type === final['type']),
      );
      if (isContradicted) return [...output];
      const whole = output.map((final, i) => pairs[i]?.merged(isFields(final) ? final : undefined) ?? final);
      // Each missing item is put after the item that was streamed before it.
      for (const item of others) {
        const missing = item.merged();
        if (missing === undefined) continue;
        const before = items.slice(0, items.indexOf(item)).findLast((earlier) => pairs.includes(earlier));
        const place = before === undefined ? 0 : pairs.indexOf(before) + 1;
        whole.splice(place, 0, missing);
        pairs.splice(place, 0, item);
      }
      return whole;
    },
  };
}

/** withItemType fills in the type of the event's item, by which its texts find it, and drops an empty id. */
function withItemType(event: ResponseEvent): ResponseEvent {
  const { item } = event;
  if (!isFields(item)) return event;
  const { id, ...rest } = item;
  const isUnnamed = id === null || id === '';
  const type = itemTypeOf(item);
  if (!isUnnamed && type === item['type']) return event;
  return { ...event, item: { ...(isUnnamed ? rest : item), ...(type !== undefined && { type }) } };
}
