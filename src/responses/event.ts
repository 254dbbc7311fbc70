/**
 * ResponseEvent is one event of a response's stream as it goes over the wire, without its number. Only fields
 * that are read here are typed.
 */
export interface ResponseEvent {
  type: string;
  output_index?: number;
  item_id?: string;
  content_index?: number;
  summary_index?: number;
  delta?: unknown;
  item?: unknown;
  [field: string]: unknown;
}

/**
 * Events about the response as a whole. The routes of the Responses API write these events themselves,
 * because a job's response begins before the first purchase and continues over all attempts.
 */
const RESPONSE_EVENTS = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
  'response.done',
]);

/**
 * isPartOfAnswer is true for every event about a part of the answer, also for types that are not known yet.
 * Types outside of `response.` (`keepalive`, `error`, what a proxy adds) say nothing about the answer.
 */
export function isPartOfAnswer({ type }: ResponseEvent): boolean {
  return type.startsWith('response.') && !RESPONSE_EVENTS.has(type);
}

/**
 * joined makes one event of two consecutive deltas of the same part; undefined: the events are no such
 * deltas.
 */
export function joined(one: ResponseEvent, next: ResponseEvent): ResponseEvent | undefined {
  const { delta: before, logprobs, ...place } = one;
  const { delta: after, logprobs: more, ...nextPlace } = next;
  if (typeof before !== 'string' || typeof after !== 'string' || !isText(one)) return undefined;
  if (!isSame(place, nextPlace)) return undefined;
  return {
    ...one,
    delta: before + after,
    ...(Array.isArray(logprobs) && Array.isArray(more) && { logprobs: [...logprobs, ...more] }),
  };
}

/** Audio is base64. Padding ends each piece, so two pieces cannot be joined. */
function isText({ type }: ResponseEvent): boolean {
  return type !== 'response.audio.delta';
}

/** Compares all other fields, because some events have fields that only OpenAI knows. */
function isSame(one: Record<string, unknown>, other: Record<string, unknown>): boolean {
  const fields = Object.keys(one);
  return (
    fields.length === Object.keys(other).length &&
    fields.every((field) => Object.is(one[field], other[field]))
  );
}
