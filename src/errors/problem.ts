import type { z } from 'zod';

/** Flaw is one thing that is wrong with an input: where, and what was expected. */
export interface Flaw {
  /** The field, as a path: `metadata.owner`; empty for the whole input. */
  path: string;
  message: string;
}

/**
 * PROBLEM_CODES are the codes with which the queue itself refuses a call. HTTP_PROBLEMS in
 * producer/http/http-problem.ts has a status for each of them, and the codes that only a producer uses.
 */
export const PROBLEM_CODES = [
  'invalid_request',
  'unknown_model',
  'model_not_configured',
  'job_not_found',
  'job_not_finished',
  'job_finished',
  'idempotency_key_reused',
  'budget_exhausted',
  'too_many_waiting',
  'too_much_stored',
  'too_many_actions',
  'action_not_found',
  'answer_damaged',
  'storage_full',
  'redis_unavailable',
] as const;
export type ProblemCode = (typeof PROBLEM_CODES)[number];

/**
 * QueueError is a refused call: its message tells the caller why. A failed job is data, never a QueueError.
 */
export class QueueError extends Error {
  override readonly name = 'QueueError';
  readonly code: ProblemCode;
  readonly flaws: readonly Flaw[];
  /** How long to wait before another try, in milliseconds; undefined: unknown. */
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

/** flawsOf turns zod's issues into flaws. */
export function flawsOf(error: z.ZodError): Flaw[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
}
