import { isUtf8 } from 'node:buffer';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import express, { type RequestHandler } from 'express';
import helmet from 'helmet';
import { hasInexactNumber, parseExact } from '../../src/job/exact-json.ts';
import { callerOf } from '../access/caller.ts';
import type { BodyMemory } from './body-memory.ts';
import { HttpProblem } from './http-problem.ts';

/** The longest body, in bytes. It has room for images and files. */
const LIMIT_BYTES = 10 * 1024 ** 2;
/** Bodies of up to this many bytes do not wait for memory. Most requests are much smaller. */
const SMALL_BYTES = 100 * 1024;

/**
 * jsonBody reads a body of JSON, and refuses one that cannot be read exactly as it was sent. A body with
 * numbers that JavaScript would change is read once more, exactly. A large body waits until there is memory
 * for it, because a body takes several times its length while it is parsed.
 */
export function jsonBody(memory: BodyMemory): RequestHandler {
  const inexact = new WeakMap<IncomingMessage, string>();
  const read = express.json({
    limit: LIMIT_BYTES,
    // With `strict` a lone `null` would be malformed JSON, but it is valid JSON that is not a request.
    strict: false,
    // The decoder replaces bytes that are not UTF-8: then another question than the caller's would be stored
    // and bought.
    verify: (request, _response, bytes, encoding) => {
      if (encoding !== 'utf-8') return;
      if (!isUtf8(bytes)) throw new Error('got bytes that are not UTF-8');
      // Latin-1 copies the bytes without decoding them. Outside of strings the bytes are the same in both
      // encodings.
      if (hasInexactNumber(bytes.toString('latin1'))) inexact.set(request, new TextDecoder().decode(bytes));
    },
  });
  const parse: RequestHandler = (request, response, next) => {
    read(request, response, (error?: unknown) => {
      const text = inexact.get(request);
      if (error === undefined && text !== undefined) request.body = parseExact(text);
      next(error);
    });
  };
  return async (request, response, next) => {
    const bytes = bytesOf(request);
    if (bytes <= SMALL_BYTES || bytes > LIMIT_BYTES) {
      parse(request, response, next);
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const release = await memory.acquire(callerOf(response)?.tenant ?? '', bytes, gone.signal);
    if (release === undefined) return;
    // This releases the memory of a body that breaks off.
    response.once('close', release);
    parse(request, response, (error?: unknown) => {
      release();
      next(error);
    });
  };
}

/**
 * Returns the declared length of a body in bytes. When the length is not known, or the body is compressed, it
 * returns the largest length.
 */
function bytesOf({ headers }: IncomingMessage): number {
  const coding = headers['content-encoding'] ?? 'identity';
  if (headers['transfer-encoding'] !== undefined || coding !== 'identity') return LIMIT_BYTES;
  return Number(headers['content-length'] ?? 0);
}

/**
 * securityHeaders sets the security headers of every answer; pages replace the content policy by their own.
 * It leaves Strict-Transport-Security to the proxy that has the certificate.
 */
export function securityHeaders(): RequestHandler {
  const headers = headersOf(
    helmet({
      // The strictest policy: the answers are JSON, which loads nothing.
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
      },
      strictTransportSecurity: false,
      xFrameOptions: { action: 'deny' },
      // With helmet's `no-referrer` a browser sends `Origin: null` with the form of the login page, which
      // then looks foreign.
      referrerPolicy: { policy: 'same-origin' },
    }),
  );
  return (_request, response, next) => {
    for (const [name, value] of headers) response.setHeader(name, value);
    next();
  };
}

/** Returns the headers that helmet sets. They are the same for all answers, so helmet runs once. */
function headersOf(setHeaders: ReturnType<typeof helmet>): [name: string, value: string][] {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  setHeaders(response.req, response, () => {});
  return Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]);
}

/**
 * refuseWebSockets answers a WebSocket's request with 426, and ends its connection: a client that opens a
 * socket would otherwise read about a wrong method. Node serves a request with any other `Upgrade` as if it
 * had none. That matters: Java's HTTP client offers `h2c` with every request.
 */
export const refuseWebSockets: RequestHandler = ({ headers: { upgrade } }, _response, next) => {
  if (upgrade === undefined || !/\bwebsocket\b/i.test(upgrade)) return next();
  throw new HttpProblem(
    'upgrade_required',
    'This instance speaks HTTP/1.1 and takes no WebSockets. For events while an answer is written, send ' +
      'POST /v1/responses with "stream": true, or read GET /jobs/ID/events: both are server-sent events',
    { headers: { upgrade: 'HTTP/1.1', connection: 'Upgrade, close' } },
  );
};
