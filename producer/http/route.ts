import type { IncomingHttpHeaders } from 'node:http';
import type { ParsedRequest } from '../../src/job/request.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { KnownCaller } from '../access/keyring.ts';
import type { Operation } from '../openapi/operation.ts';

/** RouteInput is everything about a request that a handler may use. It does not depend on Express. */
export interface RouteInput {
  params: Record<string, string>;
  query: Record<string, unknown>;
  headers: IncomingHttpHeaders;
  /** undefined: there was none, or `dropBody` was called. */
  readonly body: unknown;
  /**
   * Gives the memory of the body back. Call it before a long wait, and keep no part of a large body in a
   * variable of the function that waits.
   */
  dropBody: () => void;
  /** Aborts when the client closes its connection. It is made when it is first read. */
  readonly signal: AbortSignal;
  /** The URL by which the caller reaches this instance, without a slash at its end. */
  readonly ownUrl: string;
  /**
   * Counts this request as an open event stream of its caller, until the connection closes. Call it before
   * anything else is done.
   *
   * @throws {HttpProblem} `too_many_streams`
   */
  openStream: () => void;
  /** undefined: this instance has no keys, or the route needs none. */
  caller: KnownCaller | undefined;
  /** The queue as the caller sees it. */
  queue: TenantQueue;
}

/** Reply is what a handler returns; one function turns it into an HTTP response. */
export interface Reply {
  status: number;
  /** A `location` is a path of this instance. */
  headers?: Record<string, string>;
  body?: unknown;
  /** JSON that is already serialized, instead of a body. */
  json?: Buffer;
  /** Text of another type, instead of a body. */
  text?: { contentType: string; body: string };
  /** Chunks that are sent as they come, instead of a body. */
  stream?: ReplyStream;
  /** Called when the whole answer has been sent. */
  sent?: () => void;
}

export interface ReplyStream {
  contentType: string;
  chunks: AsyncIterable<string>;
  /** Sent while there are no chunks, so that proxies do not close a silent connection. */
  keepAlive: string;
}

export type Method = 'get' | 'post' | 'delete';

export interface Route {
  method: Method;
  /** The path, with `:name` for parameters. */
  path: string;
  /**
   * The largest body, such as `100kb`, of a route whose handler gets the body as bytes. Default: the handler
   * gets JSON, of at most `http.maxBodyMb`.
   */
  rawBodyLimit?: string;
  /** Whether calls of the route take turns with other heavy calls; see `HeavyCalls`. Default false. */
  heavy?: true;
  /** Whether the route needs no key, even if the instance has keys. Default false. */
  open?: boolean;
  /** The description of the route in the API document. */
  operation: Operation;
  handle: (input: RouteInput) => Promise<Reply>;
}

/**
 * TokenCounter counts the input of a request, as the upstream bills it; undefined: the upstream cannot say, or
 * not soon.
 * @throws {QueueError} `unknown_model`
 */
export type TokenCounter = (queue: TenantQueue, request: ParsedRequest) => Promise<number | undefined>;

/** idempotencyKeyIn returns the caller's own idempotency key, unchecked; undefined: it has sent none. */
export function idempotencyKeyIn(headers: IncomingHttpHeaders): string | undefined {
  const key = headers['idempotency-key'];
  return key === undefined ? undefined : String(key);
}
