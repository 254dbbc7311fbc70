import type { Request, RequestHandler } from 'express';
import type { Logger } from '../../src/process/log.ts';
import { HttpProblem } from '../http/http-problem.ts';
import { redirectTo } from '../http/links.ts';
import { LOGIN_PATH } from '../pages/login-page.ts';
import { setCaller } from './caller.ts';
import { type EventTokens, eventTokenIn } from './event-tokens.ts';
import type { Keyring, KnownCaller } from './keyring.ts';
import { limitUnknownKeys } from './request-rate.ts';
import { isWrite, provenanceOf } from './same-site.ts';
import type { Sessions } from './session.ts';

/**
 * authenticate finds the caller by its key, by a token of a job's events, or by its session. Of several the
 * first counts.
 */
export function authenticate(
  keyring: Keyring,
  eventTokens: EventTokens,
  sessions: Sessions,
  logger: Logger,
): RequestHandler {
  const countUnknown = limitUnknownKeys(logger);
  return (request, response, next) => {
    const { authorization } = request.headers;
    const refuse = (words: string): void =>
      void countUnknown(request, response, (refusal?: unknown) => next(refusal ?? unauthorized(words)));
    if (authorization !== undefined) {
      const [, secret] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
      if (secret === undefined) throw unauthorized(KEY_MISSING);
      const known = keyring.callerOf(secret);
      if (known === undefined) return refuse(KEY_UNKNOWN);
      setCaller(response, known);
      return next();
    }
    const sent = eventTokenIn(request);
    if (sent !== undefined) {
      const found = (known: KnownCaller | undefined): void => {
        if (known === undefined) {
          refuse(TOKEN_UNKNOWN);
        } else {
          setCaller(response, known);
          next();
        }
      };
      return void eventTokens.callerOf(sent.token, sent.jobId).then(found, next);
    }
    const caller = sessions.callerOf(request);
    if (caller === undefined) {
      if (!isPageVisit(request)) throw unauthorized(KEY_MISSING);
      return redirectTo(response, `${LOGIN_PATH}?next=${encodeURIComponent(request.url)}`);
    }
    // A browser adds the cookie to every request, even to a request that a page of another site triggers.
    if (isWrite(request.method) && provenanceOf(request.headers, request.host) !== 'same-origin')
      throw foreignPage();
    setCaller(response, caller);
    next();
  };
}

const KEY_MISSING =
  'Expected a key, got none: send "Authorization: Bearer SECRET" with a secret of O3Q_KEYS of this ' +
  'instance; for o3q and the client, set O3Q_API_KEY to it';

const KEY_UNKNOWN =
  'Expected a secret of O3Q_KEYS of this instance, got an unknown key: check it; for o3q and the client, ' +
  'check O3Q_API_KEY';

const TOKEN_UNKNOWN =
  'Expected a token of the events of this job that has not expired, got another: get a new one with ' +
  'POST /jobs/ID/events/token';

function unauthorized(detail: string): HttpProblem {
  return new HttpProblem('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

/**
 * foreignPage refuses a request that a page of another site triggered. Only the author of that page sees the
 * refusal.
 */
export function foreignPage(): HttpProblem {
  return new HttpProblem(
    'forbidden',
    'Expected a request from a page of this instance, got one from a page of another site: send a key ' +
      'as "Authorization: Bearer SECRET"',
  );
}

/**
 * The paths that people open in a browser. Elsewhere the caller is a program, which a login page would
 * confuse.
 */
const PAGES = /^\/((board|console|docs)(\/.*)?)?$/i;

/**
 * isPageVisit says whether a browser opens a page. The request must name text/html: curl accepts every type.
 */
export function isPageVisit({ method, headers, path, baseUrl }: Request): boolean {
  return (
    !isWrite(method) && (headers.accept?.includes('text/html') ?? false) && PAGES.test(`${baseUrl}${path}`)
  );
}
