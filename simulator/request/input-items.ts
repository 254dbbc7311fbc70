import { badRequest, invalidType } from '../http/errors.ts';
import { enumField, integerField } from './fields.ts';
import { isObject, type JsonObject } from './json.ts';

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;

const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
};

/** `GET /v1/responses/:id/input_items`: what was sent, each item with an id, newest first unless asked otherwise. */
export function listInputItems(responseId: string, input: unknown, query: URLSearchParams): object {
  const limit = readLimit(query.get('limit'));
  const order = enumField({ order: query.get('order') }, 'order', 'order', ['asc', 'desc']) ?? 'desc';
  const items = inputItems(responseId, input);
  if (order === 'desc') items.reverse();
  const after = query.get('after');
  const start = after === null ? 0 : 1 + items.findIndex((item) => item['id'] === after);
  if (after !== null && start === 0) {
    throw badRequest(`Item with id '${after}' not found.`, { param: 'after' });
  }
  const data = items.slice(start, start + limit);
  return {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? null,
    last_id: data.at(-1)?.['id'] ?? null,
    has_more: start + limit < items.length,
  };
}

function readLimit(text: string | null): number {
  if (text === null) return DEFAULT_LIMIT;
  if (!/^-?\d+$/.test(text)) throw invalidType('limit', 'an integer', text);
  return integerField({ limit: Number(text) }, 'limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT;
}

/** Ids follow from the response's id and the place, so that every listing gives the same ones. */
function inputItems(responseId: string, input: unknown): JsonObject[] {
  const suffix = responseId.slice('resp_'.length, -4);
  const list: unknown[] = typeof input === 'string' ? [{ role: 'user', content: input }] : asArray(input);
  return list.filter(isObject).map((item, index) => {
    const type = typeof item['type'] === 'string' ? item['type'] : 'message';
    const id = item['id'] ?? `${ID_PREFIXES[type] ?? 'item'}_${suffix}${index.toString(16).padStart(4, '0')}`;
    const listed = { ...item, id, type, status: item['status'] ?? 'completed' };
    return type === 'message' ? { ...listed, content: messageContent(item) } : listed;
  });
}

function messageContent(item: JsonObject): unknown {
  const { content } = item;
  if (typeof content !== 'string') return content;
  if (item['role'] === 'assistant') {
    return [{ type: 'output_text', text: content, annotations: [], logprobs: [] }];
  }
  return [{ type: 'input_text', text: content }];
}

function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
