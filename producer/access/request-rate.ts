import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit, type ValueDeterminingMiddleware } from 'express-rate-limit';
import type { Config } from '../../src/config/environment.ts';
import type { Logger } from '../../src/process/log.ts';
import { HttpProblem } from '../http/http-problem.ts';
import { callerOf } from './caller.ts';

const MINUTE_MS = 60_000;
const FAILED_LOGINS_PER_MINUTE = 10;
const WRONG_KEYS_PER_MINUTE = 300;

/**
 * limitRequests limits the requests of each key to this process. The minute of a key begins with its first
 * request.
 *
 * @param settings has the limit, which may change.
 */
export function limitRequests(settings: Pick<Config, 'http'>): RequestHandler {
  const perMinute = (): number => settings.http.requestsPerMinute;
  return limit({
    limit: perMinute,
    keyGenerator: (_request, response) => callerOf(response)?.tenant ?? '',
    refusal: () => `Expected at most ${perMinute()} requests a minute with this key, got more`,
  });
}

/**
 * limitFailedLogins counts the wrong keys that an address enters on the login page. Call it only for a wrong
 * key: callers behind the same address, such as that of a proxy, can still log in with their right keys.
 * Secrets of 16 characters cannot be guessed. The limit makes it cheap to answer attempts at guessing, and
 * the log shows them.
 */
export function limitFailedLogins(logger: Logger): RequestHandler {
  return limitWrongKeys('failed logins', FAILED_LOGINS_PER_MINUTE, logger);
}

/** limitUnknownKeys counts, in the same way, the requests that an address sends with a wrong key. */
export function limitUnknownKeys(logger: Logger): RequestHandler {
  return limitWrongKeys('requests with a wrong key', WRONG_KEYS_PER_MINUTE, logger);
}

/** Logs the first wrong key of each minute, and that the limit was passed. */
function limitWrongKeys(what: string, perMinute: number, logger: Logger): RequestHandler {
  const count = limit({
    limit: perMinute,
    keyGenerator: ({ ip = '' }) => ipKeyGenerator(ip),
    refusal: () => `Expected at most ${perMinute} ${what} a minute from this address, got more`,
  });
  return (request, response, next) =>
    void count(request, response, (refusal?: unknown) => {
      const about = { address: request.ip, path: request.path.slice(0, 100) };
      const used = usedOf(request);
      if (used === 1) logger.warn(about, 'a wrong key was sent');
      if (used === perMinute + 1)
        logger.warn(about, 'too many wrong keys: this address gets 429 for a minute');
      next(refusal);
    });
}

interface Limit {
  limit: number | (() => number);
  /** Requests with the same value are counted together. */
  keyGenerator: ValueDeterminingMiddleware<string>;
  refusal: () => string;
}

function limit({ refusal, ...options }: Limit): RequestHandler {
  return rateLimit({
    ...options,
    windowMs: MINUTE_MS,
    standardHeaders: false,
    legacyHeaders: false,
    // The library's validation is off, because it prints advice about proxies to the console and not to the
    // log. docs/operating/KEYS.md has the advice.
    validate: false,
    handler: (request, _response, next) => next(tooMany(refusal(), untilResetMs(request))),
  });
}

/** What express-rate-limit adds to a request that it counts. */
type Counted = Request & { rateLimit?: { resetTime?: Date; used?: number } };

function untilResetMs({ rateLimit: info }: Counted): number {
  return Math.max(1, (info?.resetTime?.getTime() ?? Date.now() + MINUTE_MS) - Date.now());
}

function usedOf({ rateLimit: info }: Counted): number {
  return info?.used ?? 0;
}

function tooMany(refusal: string, waitMs: number): HttpProblem {
  const seconds = Math.ceil(waitMs / 1000);
  return new HttpProblem('too_many_requests', `${refusal}: try again in ${seconds} s`, {
    headers: { 'retry-after': String(seconds), 'retry-after-ms': String(waitMs) },
  });
}
