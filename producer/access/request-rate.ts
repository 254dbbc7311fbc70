import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit, type ValueDeterminingMiddleware } from 'express-rate-limit';
import { HttpProblem } from '../http/problem.ts';
import { callerOf } from './caller.ts';

const MINUTE_MS = 60_000;
const FAILED_LOGINS_PER_MINUTE = 10;

/**
 * limitRequests limits the requests of each key to this process. The minute of a key begins with its first
 * request.
 */
export function limitRequests(perMinute: number): RequestHandler {
  return limit({
    limit: perMinute,
    keyGenerator: (_request, response) => callerOf(response)?.tenant ?? '',
    refusal: `Expected at most ${perMinute} requests a minute with this key, got more`,
  });
}

/**
 * limitFailedLogins limits the guesses of keys on the login page, per IP address. It does not count
 * successful logins.
 */
export function limitFailedLogins(): RequestHandler {
  return limit({
    limit: FAILED_LOGINS_PER_MINUTE,
    keyGenerator: ({ ip = '' }) => ipKeyGenerator(ip),
    skipSuccessfulRequests: true,
    refusal: `Expected at most ${FAILED_LOGINS_PER_MINUTE} failed logins a minute, got more`,
  });
}

interface Limit {
  limit: number;
  /** Requests with the same value are counted together. */
  keyGenerator: ValueDeterminingMiddleware<string>;
  skipSuccessfulRequests?: boolean;
  refusal: string;
}

function limit({ refusal, ...options }: Limit): RequestHandler {
  return rateLimit({
    ...options,
    windowMs: MINUTE_MS,
    standardHeaders: false,
    legacyHeaders: false,
    // The library's validation is off, because it prints advice about proxies to the console and not to the
    // log. docs/OPERATIONS.md has the advice.
    validate: false,
    handler: (request, _response, next) => next(tooMany(refusal, untilResetMs(request))),
  });
}

function untilResetMs(request: Request): number {
  const { rateLimit: info } = request as Request & { rateLimit?: { resetTime?: Date } };
  return Math.max(1, (info?.resetTime?.getTime() ?? Date.now() + MINUTE_MS) - Date.now());
}

function tooMany(refusal: string, waitMs: number): HttpProblem {
  const seconds = Math.ceil(waitMs / 1000);
  return new HttpProblem('too_many_requests', `${refusal}: try again in ${seconds} s`, {
    headers: { 'retry-after': String(seconds), 'retry-after-ms': String(waitMs) },
  });
}
