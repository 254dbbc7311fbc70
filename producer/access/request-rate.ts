import type { Request, RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit, type ValueDeterminingMiddleware } from 'express-rate-limit';
import { HttpProblem } from '../http/problem.ts';
import { callerOf } from './caller.ts';

const MINUTE_MS = 60_000;
const FAILED_LOGINS_PER_MINUTE = 10;

/** So many requests a minute for each key, counted by this process alone; a minute begins with a key's first request. */
export function limitRequests(perMinute: number): RequestHandler {
  return limit({
    limit: perMinute,
    keyGenerator: (_request, response) => callerOf(response)?.tenant ?? '',
    refusal: `More than ${perMinute} requests came within a minute with this key`,
  });
}

/** Who guesses keys on the login page soon has to wait. Logins that succeed are not counted. */
export function limitFailedLogins(): RequestHandler {
  return limit({
    limit: FAILED_LOGINS_PER_MINUTE,
    keyGenerator: ({ ip = '' }) => ipKeyGenerator(ip),
    skipSuccessfulRequests: true,
    refusal: `More than ${FAILED_LOGINS_PER_MINUTE} logins failed within a minute`,
  });
}

interface Limit {
  limit: number;
  /** Who is counted as one. */
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
    // Its advice about proxies would go to the console, past the log; docs/OPERATIONS.md has it.
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
