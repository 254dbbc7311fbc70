import type { ResponseEvent } from '../../../src/responses/event.ts';
import { ITEM_ADDED } from '../../../src/responses/item-so-far.ts';
import {
  type Fields,
  isFields,
  itemTypeOf,
  namedItemId,
  placeholderId,
} from '../../../src/responses/output-item-fields.ts';

/**
 * filledOutput returns the output with the fields that OpenAI's types require and the upstream left out. It
 * changes no field that the upstream sent. It returns the same list if nothing is missing.
 * @param status the status of the response.
 */
export function filledOutput(output: unknown[], responseId: string, status: string | undefined): unknown[] {
  const filled = output.map((item, index) => {
    const isCut = status === 'incomplete' && index === output.length - 1;
    const place = { responseId, index, status: isCut ? 'incomplete' : 'completed' };
    return isFields(item) ? filledItem(item, place) : item;
  });
  return filled.every((item, index) => item === output[index]) ? output : filled;
}

/**
 * filledEvent does the same for an event of a stream. The place of the event (`output_index`, `item_id`,
 * `content_index`) is filled in already, but the id of an item may be a placeholder.
 */
export function filledEvent(event: ResponseEvent, responseId: string): ResponseEvent {
  const { type, item, part, item_id: id, output_index: index = 0, logprobs } = event;
  const status = type === ITEM_ADDED ? 'in_progress' : 'completed';
  return withChanges(event, {
    item_id: id === undefined ? id : namedItemId(id, responseId),
    item: isFields(item) ? filledItem(item, { responseId, index, status }) : item,
    part: isFields(part) ? filledPart(part) : part,
    logprobs: WITH_LOGPROBS.has(type) && !Array.isArray(logprobs) ? [] : logprobs,
  });
}

const WITH_LOGPROBS = new Set(['response.output_text.delta', 'response.output_text.done']);

interface ItemPlace {
  responseId: string;
  /** The index in the output. */
  index: number;
  /** The status of an item that says none. */
  status: string;
}

function filledItem(item: Fields, { responseId, index, status }: ItemPlace): Fields {
  const type = itemTypeOf(item);
  if (type === undefined) return item;
  const said = typeof item['id'] === 'string' && item['id'] !== '' ? item['id'] : placeholderId(type, index);
  const id = namedItemId(said, responseId);
  const filled = withMissing(item, { type, id, ...requiredOf(type, id, status) });
  const { content, call_id: callId } = filled;
  return withChanges(filled, {
    id,
    content: type === 'message' ? filledParts(content) : content,
    call_id: typeof callId === 'string' ? namedItemId(callId, responseId) : callId,
  });
}

/**
 * requiredOf returns what items of a type must have in OpenAI's types (`openai` 6.49), apart from what only
 * the upstream can know.
 */
function requiredOf(type: string, id: string, status: string): Fields {
  switch (type) {
    case 'message':
      return { role: 'assistant', status, content: [] };
    case 'reasoning':
      return { summary: [] };
    case 'function_call':
      return { call_id: id, arguments: '', status };
    case 'custom_tool_call':
      return { call_id: id, input: '' };
    case 'web_search_call':
    case 'file_search_call':
    case 'code_interpreter_call':
    case 'image_generation_call':
      return { status };
    default:
      return {};
  }
}

function filledParts(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  const filled = content.map((part: unknown) => (isFields(part) ? filledPart(part) : part));
  return filled.every((part, i) => part === content[i]) ? content : filled;
}

function filledPart(part: Fields): Fields {
  switch (part['type']) {
    case 'output_text':
      return withMissing(part, { text: '', annotations: [] });
    case 'refusal':
      return withMissing(part, { refusal: '' });
    case 'reasoning_text':
    case 'summary_text':
      return withMissing(part, { text: '' });
    default:
      return part;
  }
}

/** withMissing adds fields that are missing or null. It returns the same object if it has them all. */
export function withMissing(fields: Fields, required: Fields): Fields {
  const missing = Object.entries(required).filter(
    ([field]) => fields[field] === undefined || fields[field] === null,
  );
  return missing.length === 0 ? fields : { ...fields, ...Object.fromEntries(missing) };
}

/** withChanges replaces the fields that differ. It returns the same object if none does. */
function withChanges<Changed extends Fields>(fields: Changed, changes: Fields): Changed {
  const changed = Object.entries(changes).filter(([field, value]) => value !== fields[field]);
  return changed.length === 0 ? fields : { ...fields, ...Object.fromEntries(changed) };
}
