import cors from 'cors';
import type { Request, RequestHandler, Response } from 'express';
import type { Config } from '../../src/config/environment.ts';

/**
 * The headers that a page may send: those of the API, of OpenAI's SDKs (which in Firefox also send
 * `User-Agent`), of libraries that read event streams with fetch, and of a trace.
 */
const REQUEST_HEADERS =
  /^(accept|authorization|cache-control|content-type|idempotency-key|last-event-id|user-agent|traceparent|tracestate|(o3q|openai|x-stainless)-[a-z0-9-]{1,50})$/i;

/** The headers of answers that a page may read. */
const ANSWER_HEADERS = [
  ...['Location', 'O3Q-Ack', 'Retry-After', 'Retry-After-Ms', 'X-Request-Id', 'X-Should-Retry'],
];

/** How long a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_S = 600;

/**
 * allowOrigins lets pages of `http.corsOrigins`, which may change, call the routes behind it, with a key in a header. It allows no
 * cookies, so a page cannot use the session that its visitor has here. To pages of other origins it changes
 * nothing, and their browser refuses them the answers.
 */
export function allowOrigins(settings: Pick<Config, 'http'>): RequestHandler {
  const allow = cors((request, done) => {
    done(null, {
      origin: [...settings.http.corsOrigins],
      methods: ['GET', 'HEAD', 'POST', 'DELETE'],
      allowedHeaders: allowedHeadersOf(request),
      exposedHeaders: ANSWER_HEADERS,
      maxAge: PREFLIGHT_S,
    });
  });
  return (request, response, next) => {
    const { corsOrigins } = settings.http;
    if (corsOrigins.length === 0) return next();
    const { origin, 'access-control-request-method': asked } = request.headers;
    // A cache must not give one origin the answer for another.
    response.vary('Origin');
    if (origin === undefined || !corsOrigins.includes(origin)) return next();
    response.locals['allowedOrigin'] = true;
    // An OPTIONS that is no preflight goes on, and is refused as a method that no route has.
    if (request.method === 'OPTIONS' && asked === undefined) return next();
    allow(request, response, next);
  };
}

/** isFromAllowedOrigin says whether a page of an allowed origin has sent a request to a route of the API. */
export function isFromAllowedOrigin(response: Response): boolean {
  return response.locals['allowedOrigin'] === true;
}

/** CORS knows no wildcard for the beginning of a name, so the answer lists what the page has asked for. */
function allowedHeadersOf({ headers }: Pick<Request, 'headers'>): string[] {
  const asked = headers['access-control-request-headers'] ?? '';
  return String(asked)
    .split(',')
    .map((name) => name.trim())
    .filter((name) => REQUEST_HEADERS.test(name));
}
