import type { Request, RequestHandler } from 'express';
import type { Caller } from '../../src/job/tenant.ts';
import { HttpProblem } from '../http/problem.ts';
import { LOGIN_PATH } from '../pages/login-page.ts';
import { setCaller } from './caller.ts';
import type { Keyring } from './keyring.ts';
import { isWrite, provenanceOf } from './same-site.ts';
import type { Sessions } from './session.ts';

/** Lets in who has a key, or a session that was opened with one. A key counts for more: who sends one, means that one. */
export function authenticate(keyring: Keyring, sessions: Sessions): RequestHandler {
  return (request, response, next) => {
    const { authorization } = request.headers;
    if (authorization !== undefined) {
      setCaller(response, callerWithKey(keyring, authorization));
      return next();
    }
    const caller = sessions.callerOf(request);
    if (caller === undefined) {
      if (!isPageVisit(request)) throw unauthorized(KEY_MISSING);
      return response.redirect(303, `${LOGIN_PATH}?next=${encodeURIComponent(request.originalUrl)}`);
    }
    // The browser adds the cookie by itself, whoever's page has made it ask; a key it never does.
    if (isWrite(request.method) && provenanceOf(request.headers) !== 'same-origin') throw foreignPage();
    setCaller(response, caller);
    next();
  };
}

const KEY_MISSING =
  'A key was expected: send "Authorization: Bearer SECRET" with one of O3Q_KEYS of this instance; for o3q and the client, set O3Q_API_KEY to it';

function callerWithKey(keyring: Keyring, authorization: string): Caller {
  const [, secret] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
  if (secret === undefined) throw unauthorized(KEY_MISSING);
  const caller = keyring.callerOf(secret);
  if (caller !== undefined) return caller;
  throw unauthorized(
    'The key that was sent is none of this instance, or no longer: expected one of its O3Q_KEYS; for o3q and the client, check O3Q_API_KEY',
  );
}

function unauthorized(detail: string): HttpProblem {
  return new HttpProblem('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

/** The browser's own sentence is for whoever wrote that page; nobody else ever sees it. */
export function foreignPage(): HttpProblem {
  return new HttpProblem(
    'forbidden',
    'A page of another site asked a browser for this: expected the origin of this instance, or a key as "Authorization: Bearer SECRET"',
  );
}

/** What a person opens in a browser. Everywhere else a program is asking, and a page to log in on would only confuse it. */
const PAGES = /^\/((board|docs)(\/.*)?)?$/i;

/** Said in so many words: curl takes anything, and wants no page. */
export function isPageVisit({ method, headers, path, baseUrl }: Request): boolean {
  return (
    !isWrite(method) && (headers.accept?.includes('text/html') ?? false) && PAGES.test(`${baseUrl}${path}`)
  );
}
