import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import express, { type RequestHandler } from 'express';
import helmet from 'helmet';
import { hasInexactNumber, parseExact } from '../../src/job/exact-json.ts';

/** The longest body, with room for images and files. */
const LIMIT = '10mb';

/**
 * jsonBody reads a body of JSON, and refuses one that cannot be read exactly as it was sent. A body with
 * numbers that JavaScript would change is read once more, exactly.
 */
export function jsonBody(): RequestHandler {
  const inexact = new WeakMap<IncomingMessage, string>();
  const read = express.json({
    limit: LIMIT,
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
  return (request, response, next) => {
    read(request, response, (error?: unknown) => {
      const text = inexact.get(request);
      if (error === undefined && text !== undefined) request.body = parseExact(text);
      next(error);
    });
  };
}

/**
 * securityHeaders sets the security headers of every answer; pages replace the content policy by their own.
 * It leaves Strict-Transport-Security to the proxy that has the certificate.
 */
export function securityHeaders(): RequestHandler {
  return helmet({
    // The strictest policy: the answers are JSON, which loads nothing.
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
    },
    strictTransportSecurity: false,
    xFrameOptions: { action: 'deny' },
    // With helmet's `no-referrer` a browser sends `Origin: null` with the form of the login page, which then
    // looks foreign.
    referrerPolicy: { policy: 'same-origin' },
  });
}
