import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import { stringifyExact } from '../../src/job/exact-json.ts';
import { callerOf, type QueueFor } from '../access/caller.ts';
import type { HeavyCalls } from '../access/heavy-calls.ts';
import type { OpenStreams } from '../access/open-streams.ts';
import { compressed, LEAST_COMPRESSED } from './compression.ts';
import { HttpProblem } from './http-problem.ts';
import type { JsonBodies } from './json-body.ts';
import { addressOf, basePathOf } from './links.ts';
import type { Reply, Route, RouteInput } from './route.ts';
import { cutWhenStalled, sendStream } from './stream-reply.ts';

export interface MountOptions {
  /** Reads the bodies of all routes that take JSON. */
  json: JsonBodies;
  queueFor: QueueFor;
  openStreams: OpenStreams;
  heavy: HeavyCalls;
  /** The time between two keep-alives of a stream, in milliseconds. Default 15,000. */
  keepAliveMs?: number | undefined;
  /** Called with the response of each event stream, before its headers are sent. */
  onStream: (response: Response) => void;
}

/** mountRoutes makes an app serve the routes, and refuse the other methods of their paths. */
export function mountRoutes(app: Express, routes: readonly Route[], options: MountOptions): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    // One Express route for all methods: a request is matched with the routes before its own one by one.
    const mounted = app.route(path);
    for (const route of here)
      mounted[route.method](bodyParserOf(route, options.json), handlerOf(route, options));
    mounted.all(methodNotAllowed(here));
  }
}

function bodyParserOf({ rawBodyLimit: limit }: Route, json: JsonBodies): RequestHandler {
  if (limit !== undefined) return express.raw({ type: () => true, limit });
  return json.read;
}

function handlerOf(route: Route, options: MountOptions): RequestHandler {
  const { json, queueFor, openStreams, heavy } = options;
  return async (request, response) => {
    let signal: AbortSignal | undefined;
    const goneSignal = (): AbortSignal => {
      signal ??= signalOf(response);
      return signal;
    };
    const { params, query, headers } = request;
    const input: RouteInput = {
      params: params as Record<string, string>,
      query,
      headers,
      get body(): unknown {
        return request.body;
      },
      dropBody: () => json.drop(request),
      get signal() {
        return goneSignal();
      },
      get ownUrl() {
        return `${request.protocol}://${request.host}${basePathOf(response)}`;
      },
      openStream: () => openStreams.open(callerOf(response), goneSignal(), () => response.destroy()),
      caller: callerOf(response),
      queue: queueFor(response),
    };
    const reply = await (route.heavy
      ? heavy.run(response, goneSignal(), () => route.handle(input))
      : route.handle(input));
    await send(reply, response, options);
  };
}

/**
 * CLIENT_GONE is the abort reason of a request's signal when the connection of the request closes. That is
 * not a failure, and no client is left to answer. All requests share one error object: its stack says
 * nothing, and the signal of every request aborts with this reason, even after an answer.
 */
export const CLIENT_GONE = new Error('The client has closed its connection');

function signalOf(response: Response): AbortSignal {
  if (response.closed) return AbortSignal.abort(CLIENT_GONE);
  const gone = new AbortController();
  response.once('close', () => gone.abort(CLIENT_GONE));
  return gone.signal;
}

async function send(
  reply: Reply,
  response: Response,
  { keepAliveMs, onStream }: Pick<MountOptions, 'keepAliveMs' | 'onStream'>,
): Promise<void> {
  const { status, headers, body, json, text, stream, sent } = reply;
  if (sent !== undefined) response.once('finish', sent);
  if (headers !== undefined) response.set(headers);
  if (headers?.['location'] !== undefined) response.set('location', addressOf(response, headers['location']));
  response.statusCode = status;
  if (stream !== undefined) {
    onStream(response);
    return sendStream(stream, response, keepAliveMs);
  }
  const content = text?.body ?? json ?? (body === undefined ? undefined : stringifyExact(body));
  if (content === undefined) response.end();
  else if (content.length < LEAST_COMPRESSED) sendContent(content, response, text?.contentType);
  else compressed(response.req, response, () => sendContent(content, response, text?.contentType));
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** Express' own `json` would look its content type up and hash the whole body for an ETag. */
function sendContent(content: string | Buffer, response: Response, contentType = JSON_TYPE): void {
  response.setHeader('content-type', contentType);
  response.setHeader('content-length', Buffer.byteLength(content));
  if (content.length > response.writableHighWaterMark) cutWhenStalled(response);
  // Node sends a text in one piece with the headers, and bytes in a piece of their own.
  response.end(content);
}

function methodNotAllowed(routes: readonly Route[]): RequestHandler {
  const methods = routes.map(({ method }) => method.toUpperCase());
  const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ');
  return (request: Request) => {
    throw new HttpProblem(
      'method_not_allowed',
      `${request.path.slice(0, 100)} was expected to be called with ${allowed}, not ${request.method}`,
      {
        headers: { allow: allowed },
      },
    );
  };
}
