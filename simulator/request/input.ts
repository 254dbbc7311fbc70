import { badRequest, invalidType } from '../api/errors.ts';
import { enumField, integerField } from '../api/fields.ts';
import { isObject, type JsonObject } from '../api/json.ts';

const CHARACTERS_PER_TOKEN = 4;
/** The tokens that the chat format itself costs, roughly. */
const MESSAGE_OVERHEAD_TOKENS = 7;

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;

const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
};

/** countInputTokens estimates the input: four characters per token over everything the model would read. */
export function countInputTokens(body: JsonObject): number {
  const read = [body['input'], body['instructions'], body['tools']];
  const characters = read.reduce<number>((sum, part) => sum + lengthOf(part), 0);
  return MESSAGE_OVERHEAD_TOKENS + Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

/**
 * listInputItems answers `GET /v1/responses/:id/input_items`: the items sent, each with an id, newest first
 * by default.
 */
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

/**
 * inputItems lists the items of an input. Their ids are derived from the response's id and the item's index,
 * so that every listing gives the same ones.
 */
export function inputItems(responseId: string, input: unknown): JsonObject[] {
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

/** contentText returns the text of a message's content, or of a tool's output. */
export function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

function lengthOf(part: unknown): number {
  if (part === undefined || part === null) return 0;
  return typeof part === 'string' ? part.length : JSON.stringify(part).length;
}
