import { randomUUID } from 'node:crypto';
import type { AdvertisedLimits } from '../../src/quota/quota.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import { isFields } from '../../src/responses/output-item-fields.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';

/** StreamEvent is one event of a response's stream. */
export interface StreamEvent extends ResponseEvent {
  sequence_number?: number;
  response?: UpstreamResponse;
  code?: string | null;
  message?: string;
}

/** RunningResponse is a response that has been bought. */
export interface RunningResponse {
  response: UpstreamResponse;
  /**
   * Whether the upstream keeps the response running without a connection, so that it can be looked up by its
   * id.
   */
  background: boolean;
  /** Whether the response was created with a stream, and can be streamed again. */
  streamed: boolean;
  /** Whether the server has said that it is our simulator, so that nothing is paid. */
  simulated: boolean;
  /**
   * The upstream's limits, as the answer to the create stated them; undefined: another attempt sent the
   * create, or the job's headers chose another project, whose limits are its own.
   */
  limits?: AdvertisedLimits | undefined;
  /**
   * The response's events from the second one on; undefined: poll the response, unless it has ended. The
   * generator throws only failures, and ends when the signal of the attempt aborts. It holds a connection
   * until it is read to its end or `return()` is called.
   */
  events?: AsyncGenerator<StreamEvent> | undefined;
}

const UNNAMED = 'resp_unnamed_';

/**
 * withId gives an id to a response that has none. Its cost is booked under this id. The response cannot be
 * looked up.
 */
export function withId(response: Partial<UpstreamResponse>): UpstreamResponse {
  const { id } = response;
  if (typeof id === 'string' && id !== '') return { ...response, id };
  return { ...response, id: `${UNNAMED}${randomUUID().replaceAll('-', '')}` };
}

/** isUnnamed says whether the upstream has given the response no id. */
export function isUnnamed({ id }: UpstreamResponse): boolean {
  return id.startsWith(UNNAMED);
}
const FINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'incomplete', 'cancelled']);
const RUNNING: ReadonlySet<string> = new Set(['queued', 'in_progress']);

/**
 * hasEnded says whether a response has its final status. A server without background mode may leave the
 * status out; a response with an output or an error has then ended. When a response has a status that OpenAI
 * does not have, it has ended only if it has an error.
 */
export function hasEnded(response: UpstreamResponse): boolean {
  const { status, output, error } = response;
  if (status === undefined) return (Array.isArray(output) && output.length > 0) || isFields(error);
  return FINAL.has(status) || (hasUnknownStatus(response) && isFields(error));
}

/** hasUnknownStatus says whether a response has a status that OpenAI does not have. */
export function hasUnknownStatus({ status }: UpstreamResponse): boolean {
  return status !== undefined && !FINAL.has(status) && !RUNNING.has(status);
}
