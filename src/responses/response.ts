import { z } from 'zod';
import { isJsonObject } from '../job/exact-json.ts';
import type { Usage } from '../job/view.ts';

/**
 * UpstreamResponse is a Responses API object as it came over the wire. Only fields that are read here are
 * typed: other servers leave fields out, and OpenAI adds some every month.
 */
export interface UpstreamResponse {
  id: string;
  /** The status. Some servers without background mode leave it out. */
  status?: string;
  model?: string;
  background?: boolean | null;
  metadata?: Record<string, string> | null;
  output?: unknown;
  /** OpenAI's SDK has this field and the wire does not; some servers send it in place of `output`. */
  output_text?: unknown;
  error?: {
    code?: string | null;
    message?: string | null;
    type?: string | null;
    param?: string | null;
  } | null;
  incomplete_details?: { reason?: string | null } | null;
  usage?: unknown;
  /** The tier that serves the response; before the response has run, the requested tier. */
  service_tier?: unknown;
  /** Unix seconds. */
  created_at?: unknown;
  /** Unix seconds; missing or null while the response runs, and on some servers. */
  completed_at?: unknown;
}

/**
 * words turns any value into a text: a string stays as it is, null and undefined become null, and other
 * values become JSON.
 */
const words = z
  .unknown()
  .transform((value) => (value === null || value === undefined ? null : textFrom(value)))
  .optional();
const name = z.string().optional().catch(undefined);
/** The fields that are read here, with OpenAI's types. A field of another type counts as missing. */
const fields = z.object({
  status: name,
  model: z.preprocess((value) => (isJsonObject(value) ? value['id'] : value), name),
  background: z.boolean().nullish().catch(undefined),
  metadata: z.record(z.string(), z.unknown().transform(textFrom)).nullish().catch(undefined),
  error: z.preprocess(
    (value) => (value === false || isJsonObject(value) ? value || null : value && { message: value }),
    z.looseObject({ code: words, message: words, type: words, param: words }).nullish().catch(undefined),
  ),
  incomplete_details: z.looseObject({ reason: words }).nullish().catch(undefined),
});

function textFrom(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

/**
 * wellTyped gives the fields that are read here the types that OpenAI uses. It leaves all other fields alone,
 * and adds no field.
 */
export function wellTyped(response: Record<string, unknown>): Partial<UpstreamResponse> {
  const typed = fields.parse(response);
  const changed = Object.entries(typed).filter(
    ([field, value]) => field in response && value !== response[field],
  );
  return { ...response, ...Object.fromEntries(changed) };
}

/** upstreamResponseFrom returns the response in an upstream's JSON; undefined: the JSON is no response. */
export function upstreamResponseFrom(value: unknown): UpstreamResponse | undefined {
  if (!isJsonObject(value) || value['object'] === 'error') return undefined;
  const { id } = value;
  if (typeof id !== 'string' && typeof id !== 'number') return undefined;
  return { ...wellTyped(value), id: String(id) };
}

/** outputOf returns the items of the answer, unparsed. */
export function outputOf({ output }: UpstreamResponse): unknown[] {
  return Array.isArray(output) ? output : [];
}

/** answerTextOf joins every `output_text` part of the messages that are the answer. */
export function answerTextOf(response: UpstreamResponse): string {
  return contentTexts(answerMessagesOf(response), 'output_text', 'text').join('');
}

/** textLengthOf returns the length of all texts and refusals, also of those that are not the answer. */
export function textLengthOf(response: UpstreamResponse): number {
  const messages = messagesOf(response);
  const texts = [
    ...contentTexts(messages, 'output_text', 'text'),
    ...contentTexts(messages, 'refusal', 'refusal'),
  ];
  return texts.reduce((length, text) => length + text.length, 0);
}

/**
 * answerMessagesOf returns the messages that are the answer. The messages of the phase `commentary` are left
 * out when there is a `final_answer`.
 */
export function answerMessagesOf(response: UpstreamResponse): Record<string, unknown>[] {
  const messages = messagesOf(response);
  const hasFinal = messages.some(({ phase }) => phase === 'final_answer');
  return hasFinal ? messages.filter((message) => !isCommentary(message)) : messages;
}

/** isCommentary is true for a message that the model writes beside its work, before its final answer. */
export function isCommentary({ phase }: Record<string, unknown>): boolean {
  return phase === 'commentary';
}

function messagesOf(response: UpstreamResponse): Record<string, unknown>[] {
  return outputOf(response).filter(
    (item): item is Record<string, unknown> => isJsonObject(item) && item['type'] === 'message',
  );
}

/** refusalOf returns the model's words when it has refused to answer; null: it has not refused. */
export function refusalOf(response: UpstreamResponse): string | null {
  const refusals = contentTexts(messagesOf(response), 'refusal', 'refusal');
  return refusals.length === 0 ? null : refusals.join('');
}

/**
 * answerOf returns the text of the answer; null: there is none, because the model has refused, was stopped
 * before its first word, or has said nothing. A response that only calls tools has the empty text.
 */
export function answerOf(response: UpstreamResponse): string | null {
  const text = answerTextOf(response);
  if (text !== '') return text;
  const isSilent = outputOf(response).every(
    (item) => !isJsonObject(item) || item['type'] === 'message' || item['type'] === 'reasoning',
  );
  return isSilent ? null : text;
}

/** incompleteReasonOf returns why the upstream stopped early; null: it did not stop early. */
export function incompleteReasonOf({ status, incomplete_details }: UpstreamResponse): string | null {
  return incomplete_details?.reason ?? (status === 'incomplete' ? 'unknown' : null);
}

function contentTexts(messages: readonly Record<string, unknown>[], type: string, field: string): string[] {
  return messages
    .flatMap(({ content }): unknown[] => (Array.isArray(content) ? content : []))
    .map((part) => (isJsonObject(part) && part['type'] === type ? part[field] : undefined))
    .filter((text) => typeof text === 'string');
}

/**
 * usageOf returns null when the upstream did not report usage, as for a cancelled response, or reported no
 * numbers. The usage is never guessed, and never 0. Some servers use the names of Chat Completions, and some
 * write numbers as texts.
 */
export function usageOf(response: UpstreamResponse): Usage | null {
  const usage = response.usage;
  if (!isJsonObject(usage)) return null;
  const input = countIn(usage['input_tokens'] ?? usage['prompt_tokens']);
  const output = countIn(usage['output_tokens'] ?? usage['completion_tokens']);
  // Two counts of 0 mean that the server did not fill them in: every answer uses tokens.
  if (input === undefined || output === undefined || input + output === 0) return null;
  if (output === 0 && answerTextOf(response) !== '') return null;
  const detail = (names: readonly string[], field: string): number => {
    const details = names.map((name) => usage[name]).find(isJsonObject);
    return countIn(details?.[field]) ?? 0;
  };
  const inputDetails = ['input_tokens_details', 'prompt_tokens_details'];
  const writes = inputDetails
    .map((name) => (isJsonObject(usage[name]) ? usage[name]['cache_write_tokens_details'] : undefined))
    .find(isJsonObject);
  const writtenFor12h = countIn(writes?.['ttl_12h_tokens']);
  return {
    input_tokens: input,
    cached_tokens: detail(inputDetails, 'cached_tokens'),
    cache_write_tokens: detail(inputDetails, 'cache_write_tokens'),
    ...(writtenFor12h !== undefined && { cache_write_12h_tokens: writtenFor12h }),
    output_tokens: output,
    reasoning_tokens: detail(['output_tokens_details', 'completion_tokens_details'], 'reasoning_tokens'),
    total_tokens: countIn(usage['total_tokens']) ?? input + output,
  };
}

function countIn(value: unknown): number | undefined {
  const count = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : undefined;
}

/** serviceTierOf returns null when the upstream did not report a tier. Few servers except OpenAI's do. */
export function serviceTierOf({ service_tier: tier }: UpstreamResponse): string | null {
  return typeof tier === 'string' ? tier : null;
}
