/**
 * FAILURE_CODES lists all failures by kind. A **terminal** failure fails the job now, a **retryable** one may
 * cost another attempt. docs/ERRORS.md explains each code, and a test compares the two lists.
 */
export const FAILURE_CODES = {
  invalid_request: 'terminal',
  authentication: 'terminal',
  permission: 'terminal',
  model_not_found: 'terminal',
  not_found: 'terminal',
  request_too_large: 'terminal',
  timeout: 'terminal',
  deadline_passed: 'terminal',
  purchase_uncertain: 'terminal',
  response_cancelled: 'terminal',
  response_refused: 'terminal',
  internal_error: 'terminal',
  conflict: 'retryable',
  quota_exhausted: 'retryable',
  rate_limited: 'retryable',
  upstream_error: 'retryable',
  upstream_overloaded: 'retryable',
  connection_lost: 'retryable',
  response_failed: 'retryable',
  response_lost: 'retryable',
  upstream_silent: 'retryable',
  stalled: 'retryable',
} as const;
export type FailureCode = keyof typeof FAILURE_CODES;

type CodeOf<Kind> = { [C in FailureCode]: (typeof FAILURE_CODES)[C] extends Kind ? C : never }[FailureCode];

/** Thrown when the same request can never work: retrying would only cost. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
  readonly code: CodeOf<'terminal'>;
  readonly retryable = false;
  readonly refusal: Refusal | undefined;
  constructor(code: CodeOf<'terminal'>, message: string, options: ErrorOptions & { refusal?: Refusal } = {}) {
    super(message, options);
    this.code = code;
    this.refusal = options.refusal;
  }
}

/** Thrown when a later attempt may work; `retryAfterMs` is what the upstream asked for, when it did. */
export class RetryableError extends Error {
  override readonly name = 'RetryableError';
  readonly code: CodeOf<'retryable'>;
  readonly retryable = true;
  readonly retryAfterMs: number | undefined;
  readonly refusal: Refusal | undefined;
  constructor(
    code: CodeOf<'retryable'>,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number | undefined; refusal?: Refusal } = {},
  ) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.refusal = options.refusal;
  }
}

export type Failure = TerminalError | RetryableError;

export function isFailure(error: unknown): error is Failure {
  return error instanceof TerminalError || error instanceof RetryableError;
}

/** Refusal is the upstream's own error, for the routes that pass it on in OpenAI's form. */
export interface Refusal {
  /** The HTTP status; undefined: the upstream accepted the request, and the response failed. */
  status?: number | undefined;
  code: string | null;
  type: string | null;
  message: string;
  param: string | null;
}

/**
 * UpstreamRefusal is a refusal without any SDK's classes. Its status is undefined for an error event inside a
 * stream.
 */
export interface UpstreamRefusal extends Refusal {
  retryAfterMs: number | undefined;
}

const MONEY_CODES = new Set([
  'insufficient_quota',
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'project_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
]);

/**
 * The beginning of OpenAI's message for a request that exceeds a whole minute's limit; it has no Retry-After.
 */
const TOO_LARGE = /^Request too large/;

/**
 * Codes inside a response or an error event that another purchase cannot cure; the set is open, so unknown
 * ones may be retried.
 */
const HOPELESS_CODES =
  /^(invalid_|bio_policy|misalignment_policy|data_residency|image_|empty_image|unsupported_|failed_to_download_image)/;

/**
 * failureFromRefusal turns the upstream's refusals into failures. No other code looks at a status code.
 * Sources: OpenAI's error-codes guide for the 429 and 503 codes, the SDK's own retry rules for the rest.
 */
export function failureFromRefusal({ retryAfterMs, ...refusal }: UpstreamRefusal): Failure {
  const { status, code, type } = refusal;
  const message = describe(refusal);
  if (MONEY_CODES.has(code ?? '') || type === 'insufficient_quota')
    return new RetryableError('quota_exhausted', message, { refusal });
  if (code === 'model_not_found') return new TerminalError('model_not_found', message, { refusal });
  switch (status) {
    case undefined:
      return failureFromResponseError({ ...refusal, code: code ?? 'unknown' });
    case 401:
      return new TerminalError('authentication', message, { refusal });
    case 403:
      return new TerminalError('permission', message, { refusal });
    case 404:
      return new TerminalError('not_found', message, { refusal });
    case 408:
      return new RetryableError('upstream_error', message, { retryAfterMs, refusal });
    case 409:
      return new RetryableError('conflict', message, { retryAfterMs, refusal });
    case 429:
      // The request alone exceeds the limit of a minute. If the model paused for it, it would pause for good.
      if (TOO_LARGE.test(refusal.message))
        return new TerminalError('request_too_large', message, { refusal });
      return new RetryableError('rate_limited', message, { retryAfterMs, refusal });
    case 503:
      return new RetryableError('upstream_overloaded', message, { retryAfterMs, refusal });
    default:
      return status >= 500
        ? new RetryableError('upstream_error', message, { retryAfterMs, refusal })
        : new TerminalError('invalid_request', message, { refusal });
  }
}

/** failureFromResponseError turns the `error` of an accepted response that failed into a failure. */
export function failureFromResponseError(error: {
  code: string;
  message: string;
  type?: string | null;
  param?: string | null;
}): Failure {
  const { code, type = null, param = null } = error;
  const message = `${code}: ${error.message}`;
  const refusal = { code, type, message: error.message, param };
  if (MONEY_CODES.has(code)) return new RetryableError('quota_exhausted', message, { refusal });
  if (code === 'rate_limit_exceeded') return new RetryableError('rate_limited', message, { refusal });
  if (HOPELESS_CODES.test(code)) return new TerminalError('response_refused', message, { refusal });
  return new RetryableError('response_failed', message, { refusal });
}

function describe({ status, code, message }: Refusal): string {
  const origin = status === undefined ? 'the upstream said' : `the upstream answered ${status}`;
  return code === null ? `${origin}: ${message}` : `${origin} ${code}: ${message}`;
}
