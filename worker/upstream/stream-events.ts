import { type Failure, failureFromResponseError } from '../../src/errors/failure.ts';
import { isJsonObject } from '../../src/job/exact-json.ts';
import { type UpstreamResponse, wellTyped } from '../../src/responses/response.ts';
import type { SseMessage } from './http/server-sent-events.ts';
import { hasEnded, type StreamEvent } from './running-response.ts';

/** SIGN_OF_LIFE stands for a comment or an empty message. It shows only that the server is alive. */
const SIGN_OF_LIFE: StreamEvent = { type: 'keepalive' };

/** STREAM_DONE is the type of the event that stands for `[DONE]`: the server has sent everything. */
export const STREAM_DONE = '[DONE]';

/** Events that end a response, and the status that each one means. */
const ENDINGS: ReadonlyMap<string, string> = new Map([
  ['response.completed', 'completed'],
  ['response.done', 'completed'],
  ['response.incomplete', 'incomplete'],
  ['response.failed', 'failed'],
  ['response.cancelled', 'cancelled'],
]);
/** Events of a response that continues, even if they show another status. */
const OPENINGS = new Set(['response.created', 'response.queued', 'response.in_progress']);

/**
 * streamEvents turns a stream's messages into events. It skips an event that has come before.
 *
 * @param errorOf makes the error to throw when the stream reports an error in OpenAI's envelope.
 * @param cursor the number of the last event that has been seen; undefined: none.
 */
export async function* streamEvents(
  messages: AsyncIterable<SseMessage>,
  errorOf: (envelope: object) => Error,
  cursor?: number,
): AsyncGenerator<StreamEvent> {
  let last = cursor;
  let lastData: string | undefined;
  // Some servers number all events 0.
  let isCounting = cursor !== undefined;
  for await (const { name, data } of messages) {
    const event = eventFrom(name, data, errorOf);
    const number = event.sequence_number;
    if (number !== undefined && last !== undefined) {
      const isRepeated = cursor !== undefined && number <= cursor;
      isCounting ||= number > last;
      const isTwice = isCounting && number === last && data === lastData;
      if ((isRepeated || isTwice) && !ENDINGS.has(event.type)) continue;
    }
    last = number ?? last;
    lastData = data;
    yield event;
  }
}

/** The fields that say to which part of the answer an event belongs. They are dropped if they are invalid. */
const PLACES = ['output_index', 'content_index', 'summary_index', 'sequence_number'] as const;

/** The fields of an error event that are read as text. */
const WORDS = ['code', 'message'] as const;

function eventFrom(
  name: string | undefined,
  data: string | undefined,
  errorOf: (envelope: object) => Error,
): StreamEvent {
  if (data === undefined) return SIGN_OF_LIFE;
  if (data.trim() === '[DONE]') return { type: STREAM_DONE };
  const value = parsed(data);
  if (value === undefined) return SIGN_OF_LIFE;
  const type = typeof value['type'] === 'string' ? value['type'] : typeFrom(name, value);
  const error = value['error'];
  if (isJsonObject(error) && !type.startsWith('response.')) throw errorOf(error);
  const event = value as StreamEvent;
  event.type = type;
  for (const field of type === 'error' ? WORDS : []) {
    if (typeof value[field] === 'object') delete event[field];
    else if (field in event) event[field] = String(value[field]);
  }
  for (const place of PLACES) if (place in event && !Number.isSafeInteger(event[place])) delete event[place];
  if ('item_id' in event && typeof event.item_id !== 'string') delete event.item_id;
  const { response } = value;
  if (isJsonObject(response)) event.response = wellTyped(response) as UpstreamResponse;
  else delete event.response;
  return event;
}

/** Some servers give the type only in `event:`. Others leave it out where the fields imply it. */
function typeFrom(name: string | undefined, fields: Record<string, unknown>): string {
  if (name?.startsWith('response.') || name === 'error') return name;
  return typeof fields['delta'] === 'string' ? 'response.output_text.delta' : '';
}

function parsed(data: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** failureFromErrorEvent judges an `error` event of a stream, whose fields are those of the error. */
export function failureFromErrorEvent({
  type: _type,
  sequence_number: _number,
  ...error
}: StreamEvent): Failure {
  const { code, message, param } = error;
  return failureFromResponseError({
    ...{ ...error, code: code ?? 'unknown', message: message ?? 'no message' },
    param: typeof param === 'string' ? param : null,
  });
}

/**
 * endOf returns the response that an event ends; undefined: the response continues. Some servers leave the
 * status at `in_progress`, omit fields that they have sent before, or send the response's fields without an
 * object around them. @param known the response as earlier events described it.
 */
export function endOf(event: StreamEvent, known: UpstreamResponse): UpstreamResponse | undefined {
  const { type, response } = event;
  const meant = ENDINGS.get(type);
  if (meant === undefined) {
    return response !== undefined && hasEnded(response) && !OPENINGS.has(type) ? response : undefined;
  }
  const said = response ?? unwrapped(event);
  const isWhole = typeof said.id === 'string' && typeof said.model === 'string';
  const whole = isWhole ? said : { ...known, ...withoutNulls(said) };
  const status = statusOf(said, meant);
  return status === whole.status ? whole : { ...whole, status };
}

function statusOf({ status, incomplete_details: details }: UpstreamResponse, meant: string): string {
  const isFinal = status !== undefined && hasEnded({ id: '', status });
  if (isFinal && !(meant === 'failed' && status === 'completed')) return status;
  return meant === 'completed' && typeof details?.reason === 'string' ? 'incomplete' : meant;
}

function unwrapped({ type: _type, sequence_number: _number, ...fields }: StreamEvent): UpstreamResponse {
  return wellTyped(fields) as UpstreamResponse;
}

function withoutNulls(response: UpstreamResponse): Partial<UpstreamResponse> {
  return Object.fromEntries(
    Object.entries(response).filter(([, value]) => value !== null && value !== undefined),
  );
}
