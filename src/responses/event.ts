/**
 * ResponseEvent is one event of a response's stream as on the wire, without its number. Only the fields that
 * we read are typed.
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
 * Events about the response as a whole. They are not replayed: each of our routes makes its own, because a
 * job's response begins before anything is bought, and outlives the attempts.
 */
const OF_THE_WHOLE = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
  'keepalive',
  'error',
]);

/** isPartOfAnswer returns whether an event belongs to the answer. Unknown types do. */
export function isPartOfAnswer({ type }: ResponseEvent): boolean {
  return !OF_THE_WHOLE.has(type);
}

/** joined makes one event of two consecutive deltas of the same text; undefined if they are not. */
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

/** Audio deltas are base64 with padding, and cannot be concatenated. */
function isText({ type }: ResponseEvent): boolean {
  return type !== 'response.audio.delta';
}

/**
 * All other fields must be equal, because they say which text a delta belongs to. Only OpenAI knows all of
 * them.
 */
function isSame(one: Record<string, unknown>, other: Record<string, unknown>): boolean {
  const fields = Object.keys(one);
  return (
    fields.length === Object.keys(other).length &&
    fields.every((field) => Object.is(one[field], other[field]))
  );
}
