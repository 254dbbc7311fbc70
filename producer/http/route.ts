import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '../../src/job/tenant.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { Operation } from '../openapi/operation.ts';

/** What a handler is given: everything of the request that it may use, nothing of Express. */
export interface RouteInput {
  params: Record<string, string>;
  query: Record<string, unknown>;
  headers: IncomingHttpHeaders;
  body: unknown;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
  /** undefined: this instance has no keys, or the route is open to everybody. */
  caller: Caller | undefined;
  /** As the caller sees it. */
  queue: TenantQueue;
}

/** What a handler gives back; one place turns it into an HTTP response. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** Instead of a body: JSON that has been written already. */
  json?: Buffer;
  /** Instead of a body: what is sent bit by bit. */
  stream?: ReplyStream;
  /** Called when the whole answer has gone out. */
  sent?: () => void;
}

export interface ReplyStream {
  contentType: string;
  chunks: AsyncIterable<string>;
  /** Sent now and again while there is nothing to say, so that nobody on the way takes the connection for dead. */
  keepAlive: string;
}

export type Method = 'get' | 'post' | 'delete';

export interface Route {
  method: Method;
  /** With `:name` for parameters. */
  path: string;
  /** The body is handed over as the bytes that came, at most so many (`100kb`). Default: as JSON, at most 10 MB. */
  rawBodyLimit?: string;
  /** Needs no key, also where there are keys. Default false. */
  open?: boolean;
  /** What the API's document tells of it. */
  operation: Operation;
  handle: (input: RouteInput) => Promise<Reply>;
}
