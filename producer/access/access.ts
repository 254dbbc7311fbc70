import { type RequestHandler, Router } from 'express';
import { ADMIN } from '../../src/config/api-keys.ts';
import type { Config } from '../../src/config/environment.ts';
import { SetupError } from '../../src/errors/setup-error.ts';
import type { Caller } from '../../src/job/tenant.ts';
import type { Logger } from '../../src/process/log.ts';
import { HttpProblem } from '../http/http-problem.ts';
import { basePathOf } from '../http/links.ts';
import { LOGIN_PATH, LOGOUT_PATH, noBoardPage } from '../pages/login-page.ts';
import { authenticate, foreignPage, isPageVisit } from './authentication.ts';
import { callerOf } from './caller.ts';
import { isFromAllowedOrigin } from './cross-origin.ts';
import type { EventTokens } from './event-tokens.ts';
import type { Keyring } from './keyring.ts';
import { loginRoutes, sendPage } from './login.ts';
import { limitOpenCalls, limitRequests } from './request-rate.ts';
import { isLoopback, isOwnHost, isWrite, provenanceOf } from './same-site.ts';
import { createSessions, type Sessions } from './session.ts';

export interface AccessOptions {
  /**
   * The callers' keys, and how many requests a minute this process accepts with each. They may change. Without
   * keys at the start every caller that reaches the producer may do everything, as long as it runs.
   */
  settings: Pick<Config, 'keys' | 'http'>;
  /** The address on which the producer listens. */
  host: string;
  /** The path under which browsers reach the instance; see `serveAt`. */
  basePath: string;
  keyring: Keyring;
  eventTokens: EventTokens;
  /** Called when a browser has logged in. */
  onLogin: (caller: Caller) => void;
  logger: Logger;
}

/**
 * createAccessControl lets only permitted requests through to the next handlers. With keys it also sets the
 * caller, which `callerOf(response)` returns.
 */
export function createAccessControl({
  settings,
  host,
  basePath,
  keyring,
  eventTokens,
  onLogin,
  logger,
}: AccessOptions): Router {
  const access = Router();
  if (settings.keys.length === 0) return access.use(rejectForeignOrigins(host));
  const sessions = createSessions(keyring, basePath);
  access.use(sessionWhereNeeded(sessions), loginRoutes(keyring, sessions, onLogin, logger));
  access.use(authenticate(keyring, eventTokens, sessions, logger), limitRequests(settings));
  access.use(limitOpenCalls());
  return access;
}

/**
 * Reads the session of a request without a key: where a request has both, the key counts. To read and write
 * cookies takes a program's request 6 % of the producer's time.
 */
function sessionWhereNeeded({ middleware }: Sessions): RequestHandler {
  return (request, response, next) => {
    const { headers, path } = request;
    if (headers.authorization !== undefined && path !== LOGIN_PATH && path !== LOGOUT_PATH) return next();
    return middleware(request, response, next);
  };
}

/** adminOnly refuses all callers but admin, for pages that show the jobs of all tenants. */
export const adminOnly: RequestHandler = (request, response, next) => {
  const caller = callerOf(response);
  if (caller === undefined || caller.admin) return next();
  if (isPageVisit(request)) return sendPage(response, 403, noBoardPage(basePathOf(response), caller.tenant));
  throw new HttpProblem(
    'forbidden',
    'The board shows the jobs of all tenants: expected the key of admin, got the key of ' +
      `${caller.tenant}. The jobs of ${caller.tenant} are at /jobs`,
  );
};

/** KeysRequiredError refuses to start a producer that other machines could use without a key. */
export class KeysRequiredError extends SetupError {
  override readonly name = 'KeysRequiredError';
}

/**
 * assertKeysOrLoopback checks that a producer without keys listens on loopback only.
 *
 * @throws {KeysRequiredError}
 */
export function assertKeysOrLoopback({ keys, host }: Pick<Config, 'keys' | 'host'>): void {
  if (keys.length > 0 || isLoopback(host)) return;
  throw new KeysRequiredError(
    `Without keys everyone who can reach HOST=${host} could spend your money and read every answer: set ` +
      'O3Q_KEYS, for example O3Q_KEYS=admin:$(openssl rand -hex 32), or set HOST=127.0.0.1',
  );
}

/** warnOfKeys logs what is missing among the keys: all of them, the one of admin, or those of tenants with settings. */
export function warnOfKeys({ keys, tenants }: Pick<Config, 'keys' | 'tenants'>, logger: Logger): void {
  if (keys.length === 0) {
    logger.warn('O3Q_KEYS is not set: every program on this machine may use this instance');
    return;
  }
  if (!keys.some(({ name }) => name === ADMIN)) {
    logger.warn(
      'O3Q_KEYS has no key named admin: no key sees all jobs, uses the board or resumes a paused model. Add one: ' +
        'admin:$(openssl rand -hex 32)',
    );
  }
  const keyless = Object.keys(tenants).filter((name) => !keys.some((key) => key.name === name));
  if (keyless.length > 0) logger.warn({ tenants: keyless }, 'tenants of o3q.config.json that have no key');
}

/**
 * rejectForeignOrigins protects an instance without keys from web pages. A page of any site can make a
 * browser on this machine send requests to the producer. Such a page must not change anything, and must not
 * be treated as a page of this producer. Pages of `http.corsOrigins` may use the API.
 *
 * @param host the address on which the producer listens.
 */
function rejectForeignOrigins(host: string): RequestHandler {
  const onlyThisMachine = isLoopback(host);
  return (request, response, next) => {
    const { method, headers } = request;
    if (onlyThisMachine && headers.host !== undefined && !isOwnHost(headers.host))
      throw foreignHost(headers.host);
    const isForeign = isWrite(method) && provenanceOf(headers, request.host) === 'foreign';
    if (isForeign && !isFromAllowedOrigin(response)) throw foreignPage();
    next();
  };
}

function foreignHost(host: string): HttpProblem {
  return new HttpProblem(
    'forbidden',
    'Without O3Q_KEYS this instance expects an IP address or localhost as its host, got ' +
      `${JSON.stringify(host.slice(0, 100))}: use http://127.0.0.1, or set O3Q_KEYS`,
  );
}
