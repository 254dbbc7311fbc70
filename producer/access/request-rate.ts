import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit, type ValueDeterminingMiddleware } from 'express-rate-limit';
import type { Config } from '../../src/config/environment.ts';
import { type Descriptors, readDescriptors } from '../../src/process/descriptors.ts';
import type { Logger } from '../../src/process/log.ts';
import { HttpProblem } from '../http/http-problem.ts';
import { callerOf } from './caller.ts';

const MINUTE_MS = 60_000;
const FAILED_LOGINS_PER_MINUTE = 10;
const WRONG_KEYS_PER_MINUTE = 300;
/** The most open calls of one key at a producer that may open any number of connections. */
const MOST_OPEN = 10_000;
/** The share of the connections that a process may open, which the calls of one key may take. */
const OPEN_SHARE = 1 / 2;
/** When to try again, in seconds: one of the calls may have ended by then. */
const OPEN_RETRY_S = 5;

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
 * limitOpenCalls limits the calls of each key that are open at the same time in this process: those that wait
 * for an answer, read a stream, or still send their body. Without it one key could take every connection
 * that the process may open, and no other caller could connect.
 */
export function limitOpenCalls(most = mostOpenCalls(readDescriptors())): RequestHandler {
  const open = new Map<string, number>();
  return (_request, response, next) => {
    const tenant = callerOf(response)?.tenant ?? '';
    const count = open.get(tenant) ?? 0;
    if (count >= most) {
      const callers = tenant === '' ? 'Callers without a key have' : `${tenant} has`;
      throw new HttpProblem(
        'too_many_requests',
        `${callers} ${count} open calls at this producer, and may have ${most}: calls that wait, read a stream ` +
          'or send a body. Close some, or wait for fewer jobs at a time',
        { headers: { 'retry-after': String(OPEN_RETRY_S), 'retry-after-ms': String(OPEN_RETRY_S * 1000) } },
      );
    }
    open.set(tenant, count + 1);
    response.once('close', () => open.set(tenant, (open.get(tenant) ?? 1) - 1));
    next();
  };
}

/** mostOpenCalls is 10,000, or half of the connections that the process may open if that is fewer. */
export function mostOpenCalls(descriptors: Descriptors | undefined): number {
  if (descriptors === undefined) return MOST_OPEN;
  return Math.min(MOST_OPEN, Math.max(1, Math.floor(descriptors.limit * OPEN_SHARE)));
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
