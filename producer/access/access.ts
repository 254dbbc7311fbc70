import { type RequestHandler, Router } from 'express';
import type { ApiKey } from '../../src/config/api-keys.ts';
import { SetupError } from '../../src/errors/setup-error.ts';
import { HttpProblem } from '../http/problem.ts';
import { noBoardPage } from '../pages/login-page.ts';
import { authenticate, isPageVisit } from './authentication.ts';
import { callerOf } from './caller.ts';
import { rejectForeignOrigins } from './keyless-access.ts';
import { createKeyring } from './keyring.ts';
import { loginRoutes, sendPage } from './login.ts';
import { limitRequests } from './request-rate.ts';
import { isLoopback } from './same-site.ts';
import { createSessions } from './session.ts';

export interface GateOptions {
  /** None: whoever can reach the producer may do everything. */
  keys: readonly ApiKey[];
  /** Where the producer listens. */
  host: string;
  /** Of each key, in this process. */
  requestsPerMinute: number;
}

/** Everything that is behind this is for callers that may come in. With keys, `callerOf(response)` is then who. */
export function createGate({ keys, host, requestsPerMinute }: GateOptions): Router {
  const gate = Router();
  if (keys.length === 0) return gate.use(rejectForeignOrigins(host));
  const keyring = createKeyring(keys);
  const sessions = createSessions(keyring);
  gate.use(sessions.middleware, loginRoutes(keyring, sessions));
  gate.use(authenticate(keyring, sessions), limitRequests(requestsPerMinute));
  return gate;
}

/** For what shows everybody's jobs. */
export const adminOnly: RequestHandler = (request, response, next) => {
  const caller = callerOf(response);
  if (caller === undefined || caller.admin) return next();
  if (isPageVisit(request)) return sendPage(response, 403, noBoardPage(caller.tenant));
  throw new HttpProblem(
    'forbidden',
    `The board shows everybody's jobs and is for admin, got the key of ${caller.tenant}; its own jobs are at /jobs`,
  );
};

/** Anybody could spend money here. */
export class UnguardedError extends SetupError {
  override readonly name = 'UnguardedError';
}

/** @throws {UnguardedError} when others than this machine could reach the producer, and it asked for no key. */
export function assertGuarded({ keys, host }: Pick<GateOptions, 'keys' | 'host'>): void {
  if (keys.length > 0 || isLoopback(host)) return;
  throw new UnguardedError(
    `Without keys whoever reaches HOST=${host} could spend your money and read every answer: set O3Q_KEYS, for example to admin: and what \`openssl rand -hex 32\` says, or HOST to 127.0.0.1`,
  );
}
