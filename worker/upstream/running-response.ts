import type { AdvertisedLimits } from '../../src/quota/quota.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';

/** One event of a response's stream, with its number. */
export interface StreamEvent extends ResponseEvent {
  sequence_number?: number;
  response?: UpstreamResponse;
  code?: string | null;
  message?: string;
}

/** A response that has been bought. */
export interface RunningResponse {
  response: UpstreamResponse;
  /** The upstream keeps it running without us, and it can be looked up by its id. */
  background: boolean;
  /** It was created with a stream, so that it can be streamed again. */
  streamed: boolean;
  /** What the upstream said of its limits when it took the create; undefined: it was taken by another attempt. */
  told?: AdvertisedLimits;
  /**
   * Its events from the second on; undefined: it is to be polled, or finished already. It throws nothing but failures, ends
   * with the signal of its attempt, and holds a connection until it is read to its end or told to `return()`.
   */
  events?: AsyncGenerator<StreamEvent>;
}

/** A server that only knows the foreground may leave the status out: what has an output has ended. */
export function hasEnded({ status, output }: UpstreamResponse): boolean {
  if (status === undefined) return Array.isArray(output) && output.length > 0;
  return status === 'completed' || status === 'failed' || status === 'incomplete' || status === 'cancelled';
}
