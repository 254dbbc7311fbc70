import type { IncomingHttpHeaders } from 'node:http';
import type { TenantQueue } from '../src/queue/tenant-queue.ts';

/** What a handler is given: everything of the request that it may use, nothing of Express. */
export interface RouteInput {
  params: Record<string, string>;
  query: Record<string, unknown>;
  headers: IncomingHttpHeaders;
  body: unknown;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
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
}

export type Method = 'get' | 'post' | 'delete';

export interface Route {
  method: Method;
  /** With `:name` for parameters. */
  path: string;
  /** The body is handed over as the bytes that came, at most so many (`100kb`). Default: as JSON, at most 10 MB. */
  rawBodyLimit?: string;
  handle: (input: RouteInput) => Promise<Reply>;
}
