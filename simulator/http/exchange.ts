import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, badRequest, type ErrorBody, type ReplyHeaders, tooLarge } from '../api/errors.ts';
import type { OddReply } from '../faults/odd-replies.ts';
import { type Account, accountOf } from '../request/account.ts';

/** Exchange is one HTTP call: the request, and the ways to answer it. */
export type Exchange = {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly account: Account;
  readonly response: ServerResponse;
  readJson(): Promise<unknown>;
  sendJson(status: number, body: object, headers?: ReplyHeaders): void;
  sendError(error: unknown): void;
  sendHtml(status: number): void;
  sendOdd(reply: OddReply): void;
  /** Sends the headers of an event stream at once. */
  openStream(contentType: string, headers?: ReplyHeaders): void;
  /** Drops the connection as a crashed server does: a TCP reset and no answer. */
  reset(): void;
};

const MAX_BODY_BYTES = 32 * 1024 * 1024;

const BAD_GATEWAY =
  '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n';

export function createExchange(
  request: IncomingMessage,
  response: ServerResponse,
  { now, paid }: { now: () => number; paid: boolean },
): Exchange {
  const startedAtMs = now();
  const url = parseTarget(request.url);
  const commonHeaders = (): Record<string, string> => ({
    'x-request-id': `req_${randomBytes(16).toString('hex')}`,
    'openai-processing-ms': String(Math.max(1, Math.round(now() - startedAtMs))),
    'openai-version': '2020-10-01',
    'openai-organization': 'org-simulator',
    ...(paid ? {} : { 'o3q-simulated': 'true' }),
  });
  const send = (status: number, type: string, text: string, headers: ReplyHeaders): void => {
    if (response.headersSent || response.destroyed) return;
    response.writeHead(status, {
      ...commonHeaders(),
      ...headers,
      'content-type': type,
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
  };
  const sendJson: Exchange['sendJson'] = (status, body, headers = {}) =>
    send(status, 'application/json', JSON.stringify(body), headers);
  return {
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    authorization: request.headers.authorization,
    account: accountOf(request.headers),
    response,
    readJson: async () => parseJson(await readBody(request)),
    sendJson,
    sendError: (error) => {
      if (error instanceof ApiError) sendJson(error.status, { error: error.body }, error.headers);
      else sendJson(500, { error: internalError(error) });
    },
    sendHtml: (status) => send(status, 'text/html', BAD_GATEWAY, {}),
    sendOdd: ({ status, contentType, text, headers = {} }) => send(status, contentType, text, headers),
    openStream: (contentType, headers = {}) => {
      response.writeHead(200, {
        ...commonHeaders(),
        ...headers,
        'content-type': contentType,
        'cache-control': 'no-cache',
      });
      response.flushHeaders();
    },
    reset: () => request.socket.resetAndDestroy(),
  };
}

/** The URL is made absolute first: otherwise a target such as `//x` would be read as a host. */
function parseTarget(target = '/'): URL {
  return new URL(target.startsWith('/') ? `http://simulator${target}` : 'http://simulator/');
}

/**
 * Reads a body to its end even if it is too large. A client that is still writing would otherwise never see
 * the 413.
 */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest(
      'We could not parse the JSON body of your request. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.',
    );
  }
}

/**
 * Returns the body of a 500 for an error in the simulator itself or in its `answer` option. A fault that a
 * caller asked for has another body.
 */
function internalError(error: unknown): ErrorBody {
  const reason = error instanceof Error ? error.message : String(error);
  return { message: `The simulator itself failed: ${reason}`, type: 'server_error', param: null, code: null };
}
