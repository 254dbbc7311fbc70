/** One event of a response's stream, as it goes over the wire, but for its number. Only what is read here is typed. */
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
 * The events that tell of the response as a whole. Every door makes its own of these: a job's response begins before anything is bought,
 * and outlives the attempts.
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

/** Whether an event is a part of the answer. Types that nobody knew yet are. */
export function isPartOfAnswer({ type }: ResponseEvent): boolean {
  return !OF_THE_WHOLE.has(type);
}

/** One event for two deltas that follow each other in the same place; undefined where they do not. */
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

/** Bytes in base64 end with their padding, so that two of them do not make one. */
function isText({ type }: ResponseEvent): boolean {
  return type !== 'response.audio.delta';
}

/** Whatever else stands in them tells places apart: of some events only OpenAI knows what. */
function isSame(one: Record<string, unknown>, other: Record<string, unknown>): boolean {
  const fields = Object.keys(one);
  return (
    fields.length === Object.keys(other).length &&
    fields.every((field) => Object.is(one[field], other[field]))
  );
}
