import { isPartOfAnswer } from '../../src/responses/event.ts';
import { type Fields, isFields, itemTypeOf, ownerOf } from '../../src/responses/output-item-fields.ts';
import type { StreamEvent } from './running-response.ts';
import { STREAM_DONE } from './stream-events.ts';

/** HeardEnd judges a stream that ends without its last event: is the answer whole that was streamed? */
export interface HeardEnd {
  add(event: StreamEvent): void;
  /**
   * Returns the status of a response whose stream ends here; undefined: a part is missing. The answer is
   * whole if each item that was opened is done, and the last one is for the caller: a message, or a call that
   * the caller has to answer. After `[DONE]` it is whole in any case.
   */
  status(): 'completed' | 'incomplete' | undefined;
}

/**
 * Items after which the model goes on. A stream that ends behind one of them has broken off, and whether they
 * were closed does not matter once the model has answered.
 */
const STEPS: ReadonlySet<string> = new Set([
  'reasoning',
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'mcp_call',
  'mcp_list_tools',
]);
/** Events that end a text of a message. Some servers send them, and no end of the message. */
const ENDS_OF_TEXT: ReadonlySet<string> = new Set([
  'response.output_text.done',
  'response.refusal.done',
  'response.content_part.done',
]);

/** Place is what an event says about the item to which it belongs. */
interface Place {
  index: number | undefined;
  id: unknown;
  type: string;
}

export function createHeardEnd(): HeardEnd {
  let open: Place[] = [];
  let hasAnswer = false;
  /** Whether the latest part of the answer was closed, and is for the caller. */
  let isClosed = false;
  let status: 'completed' | 'incomplete' = 'completed';

  const found = ({ index, id, type }: Place): Place | undefined =>
    open.findLast((item) => index !== undefined && item.index === index) ??
    open.findLast((item) => id !== undefined && item.id === id) ??
    open.findLast((item) => item.type === type && (index === undefined || item.index === undefined));
  const begin = (place: Place): void => {
    isClosed = false;
    if (!STEPS.has(place.type) && found(place) === undefined) open.push(place);
  };
  const close = (place: Place): void => {
    const closed = found(place);
    open = open.filter((item) => item !== closed);
    isClosed = !STEPS.has(place.type);
  };
  const addItem = (type: string, place: Place, item: Fields): void => {
    if (type !== 'response.output_item.done' || isCutCall(item)) begin(place);
    else {
      close(place);
      if (isClosed && item['status'] === 'incomplete') status = 'incomplete';
    }
  };

  return {
    add(event) {
      const { type, output_index: index, item } = event;
      hasAnswer ||= isPartOfAnswer(event);
      if (type === STREAM_DONE) {
        isClosed = hasAnswer;
        open = [];
      } else if (isFields(item)) {
        addItem(type, { index, id: item['id'], type: itemTypeOf(item) ?? '' }, item);
      } else {
        const owner = ownerOf(event);
        if (owner === undefined) return;
        const place: Place = { index, id: event.item_id, type: owner.item };
        if (type.endsWith('.delta') || type.endsWith('part.added')) begin(place);
        else if (ENDS_OF_TEXT.has(type) && owner.item === 'message') close(place);
      }
    },
    status: () => (isClosed && open.length === 0 ? status : undefined),
  };
}

/** Whether an item is a call whose arguments break off. Some servers leave them to the deltas: ''. */
function isCutCall(item: Fields): boolean {
  const { status, arguments: json } = item;
  if (itemTypeOf(item) !== 'function_call') return false;
  if (status === 'incomplete') return true;
  if (typeof json !== 'string' || json === '') return false;
  try {
    JSON.parse(json);
    return false;
  } catch {
    return true;
  }
}
