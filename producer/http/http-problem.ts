import { STATUS_CODES } from 'node:http';
import { type Flaw, type ProblemCode, QueueError } from '../../src/errors/problem.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { isRedisAway } from '../../src/redis/refusal.ts';

/**
 * HTTP_PROBLEMS are all codes of refusals with their HTTP status: those of the queue itself (PROBLEM_CODES in
 * src/errors/problem.ts) and those of a producer. docs/ERRORS.md explains them; a test compares the two.
 */
export const HTTP_PROBLEMS = {
  invalid_request: 400,
  malformed_json: 400,
  invalid_signature: 400,
  unknown_model: 400,
  unauthorized: 401,
  forbidden: 403,
  model_not_configured: 404,
  job_not_found: 404,
  action_not_found: 404,
  route_not_found: 404,
  webhooks_not_configured: 404,
  method_not_allowed: 405,
  job_not_finished: 409,
  job_finished: 409,
  idempotency_key_reused: 409,
  job_failed: 409,
  job_cancelled: 409,
  body_too_slow: 408,
  body_too_large: 413,
  unsupported_media_type: 415,
  upgrade_required: 426,
  too_many_requests: 429,
  budget_exhausted: 429,
  too_many_waiting: 429,
  too_much_stored: 429,
  too_many_actions: 429,
  too_many_streams: 429,
  answer_damaged: 500,
  internal_error: 500,
  body_memory_full: 503,
  storage_full: 503,
  redis_unavailable: 503,
} as const satisfies Record<ProblemCode, number> & Record<string, number>;
export type HttpProblemCode = keyof typeof HTTP_PROBLEMS;

/** HttpProblem is a refusal as `application/problem+json` (RFC 9457). */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly code: HttpProblemCode;
  readonly flaws: readonly Flaw[];
  readonly headers: Record<string, string>;
  readonly job: JobView | undefined;
  constructor(
    code: HttpProblemCode,
    detail: string,
    {
      flaws = [],
      headers = {},
      job,
    }: { flaws?: readonly Flaw[]; headers?: Record<string, string>; job?: JobView } = {},
  ) {
    super(detail);
    this.code = code;
    this.flaws = flaws;
    this.headers = headers;
    this.job = job;
  }

  get status(): number {
    return HTTP_PROBLEMS[this.code];
  }

  toJSON(): Record<string, unknown> {
    return {
      type: 'about:blank',
      title: STATUS_CODES[this.status],
      status: this.status,
      code: this.code,
      detail: this.message,
      ...(this.flaws.length > 0 && { flaws: this.flaws }),
      ...(this.job !== undefined && { job: this.job }),
    };
  }
}

/**
 * How soon a caller may try again while Redis is away, in milliseconds: about the time that a restart takes.
 */
const REDIS_AWAY_MS = 1000;

/** problemFrom turns an expected error into a refusal; undefined for an unexpected error. */
export function problemFrom(error: unknown): HttpProblem | undefined {
  if (error instanceof HttpProblem) return error;
  if (error instanceof QueueError) {
    const waitMs = error.code === 'redis_unavailable' ? REDIS_AWAY_MS : error.retryAfterMs;
    const headers: Record<string, string> =
      waitMs === undefined
        ? {}
        : { 'retry-after': String(Math.ceil(waitMs / 1000)), 'retry-after-ms': String(waitMs) };
    return new HttpProblem(error.code, error.message, { flaws: error.flaws, headers });
  }
  if (isRedisAway(error)) {
    return problemFrom(
      new QueueError(
        'redis_unavailable',
        `Redis cannot be used now (${error.message}). Try again in a moment`,
      ),
    );
  }
  return requestProblemFrom(error);
}

/** noResult says why a failed or cancelled job has no result. */
export function noResult(job: JobView): HttpProblem {
  if (job.status === 'failed') {
    return new HttpProblem('job_failed', `Job ${job.id} failed: ${job.error.code}: ${job.error.message}`, {
      job,
    });
  }
  if (!isFinishedJob(job)) throw new Error(`job ${job.id} is ${job.status}: its result may still come`);
  return new HttpProblem('job_cancelled', `Job ${job.id} was cancelled at ${job.finished_at}`, { job });
}

/**
 * RefusedRequest is what Express and its body parser throw: an error with a status and usually a documented
 * `type`.
 */
interface RefusedRequest {
  message: string;
  status: number;
  type?: unknown;
  /** The allowed size in bytes of a body that was too large. */
  limit?: unknown;
  /** The code of zlib, such as `Z_DATA_ERROR`. */
  code?: unknown;
}

function isRefusedRequest(error: unknown): error is RefusedRequest {
  return (
    typeof error === 'object' &&
    error !== null &&
    'message' in error &&
    'status' in error &&
    typeof error.status === 'number' &&
    error.status >= 400 &&
    error.status < 500
  );
}

function requestProblemFrom(error: unknown): HttpProblem | undefined {
  if (!isRefusedRequest(error)) return undefined;
  switch (error.type) {
    case 'entity.too.large':
      return new HttpProblem(
        'body_too_large',
        `The body was expected to be at most ${sizeOf(Number(error.limit))}, got more`,
      );
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new HttpProblem(
        'unsupported_media_type',
        `The body was expected to be JSON in UTF-8: ${error.message}`,
      );
    default: {
      // Other requests are malformed: for example, the path cannot be decoded, or the upload broke off.
      const compressed = typeof error.code === 'string' && error.code.startsWith('Z_');
      const said = compressed
        ? 'the body was expected to be compressed as its content-encoding says'
        : error.message;
      return new HttpProblem('invalid_request', `The request was refused: ${said}`);
    }
  }
}

function sizeOf(bytes: number): string {
  const kilobytes = bytes / 1024;
  return kilobytes < 1024 ? `${kilobytes} kB` : `${kilobytes / 1024} MB`;
}
