import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { RequestHandler } from 'express';
import helmet from 'helmet';
import { HttpProblem } from './http-problem.ts';

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
