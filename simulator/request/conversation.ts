import { badRequest } from '../api/errors.ts';
import { isObject, type JsonObject } from '../api/json.ts';
import { contentText } from './input.ts';

/** Conversation is what a model would read of a request and of the responses before it. */
export type Conversation = {
  /** The text of the last user message. */
  readonly question: string;
  /** What the caller's tools answered since that message, in order. */
  readonly toolOutputs: readonly ToolOutput[];
};

export type ToolOutput = { readonly tool: string; readonly text: string };

const CALLS = ['function_call', 'custom_tool_call'];
const OUTPUTS = ['function_call_output', 'custom_tool_call_output'];

/** Earlier is what the responses before a request hold: their inputs and outputs. */
export type Earlier = {
  readonly items: readonly unknown[];
  /** Whether the simulator still has all of them. */
  readonly isWhole: boolean;
  readonly tokens: number;
};

/**
 * readConversation reads the items of earlier responses, then those of the request.
 * @throws OpenAI's 400 for an output without its call, and for a call without its output.
 */
export function readConversation(earlier: Earlier, body: JsonObject): Conversation {
  const items = [...earlier.items, ...itemsOf(body['input'])].filter(isObject);
  const calls = new Map(ofTypes(items, CALLS).map((call) => [call['call_id'], String(call['name'])]));
  // What a reference or a stored conversation holds is unknown here.
  const isWhole =
    earlier.isWhole && !body['conversation'] && !items.some(({ type }) => type === 'item_reference');
  if (isWhole) checkPairs(items, calls);
  const start = items.findLastIndex((item) => item['role'] === 'user');
  return {
    question: contentText(items[start]?.['content']),
    toolOutputs: ofTypes(items.slice(start + 1), OUTPUTS).map((item) => ({
      tool: calls.get(item['call_id']) ?? 'tool',
      text: contentText(item['output']),
    })),
  };
}

/** itemsOf returns an input as items. */
export function itemsOf(input: unknown): readonly unknown[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  return Array.isArray(input) ? input : [];
}

function checkPairs(items: readonly JsonObject[], calls: ReadonlyMap<unknown, string>): void {
  const answered = new Set(ofTypes(items, OUTPUTS).map((output) => output['call_id']));
  for (const id of answered) {
    if (!calls.has(id))
      throw badRequest(`No tool call found for function call output with call_id ${String(id)}.`, {
        param: 'input',
      });
  }
  for (const id of calls.keys()) {
    if (!answered.has(id))
      throw badRequest(`No tool output found for function call ${String(id)}.`, { param: 'input' });
  }
}

function ofTypes(items: readonly JsonObject[], types: readonly string[]): JsonObject[] {
  return items.filter(({ type }) => types.includes(String(type)));
}
