import { OpenAiError } from '../openai-error.ts';

type Item = Record<string, unknown>;

/** The prefixes of OpenAI's item ids, by the item's type. */
const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
};
const DEFAULT_LIMIT = 20;
const MOST_LIMIT = 100;

/**
 * inputItemPage makes a page of a request's input items, each with an id. The last item comes first unless
 * `order` is `asc`.
 */
export function inputItemPage(responseId: string, input: unknown, query: Record<string, unknown>): object {
  const limit = limitFrom(query['limit']);
  const items = inputItems(responseId, input);
  if (query['order'] !== 'asc') items.reverse();
  const after = query['after'];
  const start = after === undefined ? 0 : 1 + items.findIndex(({ id }) => id === after);
  if (after !== undefined && start === 0) {
    throw new OpenAiError(400, { message: `Item with id '${String(after)}' not found.`, param: 'after' });
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

function limitFrom(text: unknown): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = typeof text === 'string' && /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MOST_LIMIT) return limit;
  throw new OpenAiError(400, {
    message: `Invalid 'limit': expected a whole number from 1 to ${MOST_LIMIT}.`,
    param: 'limit',
    code: 'invalid_value',
  });
}

/** An item's id is made from the response's id and the item's index, so that it is the same on every page. */
function inputItems(responseId: string, input: unknown): Item[] {
  const given: unknown[] = typeof input === 'string' ? [{ role: 'user', content: input }] : asArray(input);
  return given.filter(isItem).map((item, place) => {
    const type = typeof item['type'] === 'string' ? item['type'] : 'message';
    const ownId = `${ID_PREFIXES[type] ?? 'item'}_${responseId.slice('resp_'.length)}${place.toString(16).padStart(4, '0')}`;
    const listed = { ...item, id: item['id'] ?? ownId, type, status: item['status'] ?? 'completed' };
    return type === 'message' ? { ...listed, content: contentOf(item) } : listed;
  });
}

function contentOf({ content, role }: Item): unknown {
  if (typeof content !== 'string') return content;
  return role === 'assistant'
    ? [{ type: 'output_text', text: content, annotations: [], logprobs: [] }]
    : [{ type: 'input_text', text: content }];
}

function asArray(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null;
}
