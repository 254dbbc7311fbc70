import { isUtf8 } from 'node:buffer';
import express, { type RequestHandler } from 'express';
import helmet from 'helmet';

/** The longest body, with room for images and files. */
const LIMIT = '10mb';

/** jsonBody reads a body of JSON, and refuses one that cannot be read exactly as it was sent. */
export function jsonBody(): RequestHandler {
  return express.json({
    limit: LIMIT,
    // `strict` would call a lone `null` malformed JSON, but it is valid JSON that is not a request.
    strict: false,
    // The decoder would replace bytes that are not UTF-8, and a question that the caller never asked would be
    // stored and bought.
    verify: (_request, _response, bytes, encoding) => {
      if (encoding === 'utf-8' && !isUtf8(bytes)) throw new Error('got bytes that are not UTF-8');
    },
  });
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
