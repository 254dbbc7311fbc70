import type { RequestHandler } from 'express';
import { HttpProblem } from '../http/problem.ts';
import { foreignPage } from './authentication.ts';
import { isLoopback, isOwnHost, isWrite, provenanceOf } from './same-site.ts';

/**
 * Without keys everybody is let in who can reach the producer, and a browser on this machine can be made to by the page of any stranger.
 * Such a page may change nothing, and may not pass for our own.
 *
 * @param host where the producer listens.
 */
export function rejectForeignOrigins(host: string): RequestHandler {
  const onlyThisMachine = isLoopback(host);
  return ({ method, headers }, _response, next) => {
    if (onlyThisMachine && headers.host !== undefined && !isOwnHost(headers.host))
      throw foreignHost(headers.host);
    if (isWrite(method) && provenanceOf(headers) === 'foreign') throw foreignPage();
    next();
  };
}

function foreignHost(host: string): HttpProblem {
  return new HttpProblem(
    'forbidden',
    `Without O3Q_KEYS this instance is only called by an address or as localhost, got the host ${JSON.stringify(host.slice(0, 100))}: use http://127.0.0.1, or set O3Q_KEYS`,
  );
}
