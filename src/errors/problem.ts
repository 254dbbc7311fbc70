import type { z } from 'zod';

/** One thing that is wrong with an input: where, and what was expected of it. */
export interface Flaw {
  /** The field, as a path: `metadata.owner`; empty for the whole. */
  path: string;
  message: string;
}

export const PROBLEM_CODES = [
  'invalid_request',
  'unknown_model',
  'model_not_configured',
  'job_not_found',
  'job_not_finished',
  'job_finished',
  'idempotency_key_reused',
  'budget_exhausted',
  'redis_unavailable',
] as const;
export type ProblemCode = (typeof PROBLEM_CODES)[number];

/**
 * QueueError says what the queue refuses to do, and why, in words for the caller. It is never thrown for a
 * job's fate: that is data.
 */
export class QueueError extends Error {
  override readonly name = 'QueueError';
  readonly code: ProblemCode;
  readonly flaws: readonly Flaw[];
  /** When it is worth asking again; undefined: that is not known. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: ProblemCode,
    message: string,
    options: ErrorOptions & { flaws?: readonly Flaw[]; retryAfterMs?: number } = {},
  ) {
    super(message, options);
    this.code = code;
    this.flaws = options.flaws ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** zod's issues in the one form that all our messages have. */
export function flawsOf(error: z.ZodError): Flaw[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
}
