/** What a handler is given: everything of the request that it may use, nothing of Express. */
export interface RouteInput {
  params: Record<string, string>;
  query: Record<string, unknown>;
  body: unknown;
  /** Aborts when the client has gone. */
  signal: AbortSignal;
}

/** What a handler gives back; one place turns it into an HTTP response. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
}

export type Method = 'get' | 'post' | 'delete';

export interface Route {
  method: Method;
  /** With `:name` for parameters. */
  path: string;
  handle: (input: RouteInput) => Promise<Reply>;
}
