import express, { type RequestHandler, type Response, Router } from 'express';
import type { Caller } from '../../src/job/tenant.ts';
import type { Logger } from '../../src/process/log.ts';
import { basePathOf, redirectTo } from '../http/links.ts';
import { LOGIN_PATH, LOGOUT_PATH, loggedInPage, loginPage, ownPath } from '../pages/login-page.ts';
import type { Page } from '../pages/page.ts';
import { foreignPage } from './authentication.ts';
import type { Keyring } from './keyring.ts';
import { limitFailedLogins } from './request-rate.ts';
import { provenanceOf } from './same-site.ts';
import type { Sessions } from './session.ts';

/** loginRoutes gives a browser a session, because a browser does not send an API key by itself. */
export function loginRoutes(
  keyring: Keyring,
  sessions: Sessions,
  onLogin: (caller: Caller) => void,
  logger: Logger,
): Router {
  const router = Router();
  const countFailed = limitFailedLogins(logger);
  router.get(LOGIN_PATH, (request, response) => {
    const caller = sessions.callerOf(request);
    sendPage(
      response,
      200,
      caller === undefined
        ? loginPage(basePathOf(response), ownPath(request.query['next']))
        : loggedInPage(basePathOf(response), caller.tenant),
    );
  });
  router.post(
    LOGIN_PATH,
    refuseForeignPages,
    express.urlencoded({ extended: false, limit: '10kb' }),
    (request, response, next) => {
      const { key, next: wanted } = formOf(request.body);
      const caller = keyring.callerOf(typeof key === 'string' ? key : '');
      const path = ownPath(wanted);
      if (caller === undefined) {
        const words = 'This key is unknown. Enter the secret of one of the keys in O3Q_KEYS.';
        return void countFailed(request, response, (refusal?: unknown) => {
          if (refusal !== undefined) next(refusal);
          else sendPage(response, 401, loginPage(basePathOf(response), path, words));
        });
      }
      sessions.open(request, caller);
      onLogin(caller);
      redirectTo(response, path);
    },
  );
  router.post(LOGOUT_PATH, refuseForeignPages, (request, response) => {
    sessions.close(request);
    redirectTo(response, LOGIN_PATH);
  });
  return router;
}

export function sendPage(response: Response, status: number, { headers, html }: Page): void {
  response.status(status).set(headers).type('html').send(html);
}

/**
 * Without this check a page of another site could log a visitor in with the key of the page's author. The
 * author could then read the visitor's questions.
 */
const refuseForeignPages: RequestHandler = ({ headers, host }, _response, next) => {
  if (provenanceOf(headers, host) === 'foreign') throw foreignPage();
  next();
};

function formOf(body: unknown): Record<string, unknown> {
  return typeof body === 'object' && body !== null ? { ...body } : {};
}
