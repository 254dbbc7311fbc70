import { furtherFields } from './further-fields.ts';
import {
  namesThing,
  saysAddress,
  saysBusy,
  saysContent,
  saysCredentials,
  saysModel,
  saysMoney,
  saysNamedAccount,
  saysThrottled,
  saysTooLarge,
} from './refusal-words.ts';

/**
 * FAILURE_CODES lists all failures by kind. A **terminal** failure fails the job at once. A **retryable**
 * failure may be followed by another attempt. docs/ERRORS.md explains each code, and a test compares the two
 * lists.
 */
export const FAILURE_CODES = {
  invalid_request: 'terminal',
  not_found: 'terminal',
  request_too_large: 'terminal',
  timeout: 'terminal',
  deadline_passed: 'terminal',
  purchase_uncertain: 'terminal',
  response_cancelled: 'terminal',
  response_refused: 'terminal',
  answer_too_large: 'terminal',
  child_failed: 'terminal',
  internal_error: 'terminal',
  conflict: 'retryable',
  quota_exhausted: 'retryable',
  authentication: 'retryable',
  permission: 'retryable',
  wrong_address: 'retryable',
  model_not_found: 'retryable',
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

/** TerminalError is thrown when the same request can never work: a retry would only cost money. */
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

/**
 * RetryableError is thrown when a later attempt may work. `retryAfterMs` is the wait that the upstream asked
 * for, in milliseconds; undefined: it asked for none.
 */
export class RetryableError extends Error {
  override readonly name = 'RetryableError';
  readonly code: CodeOf<'retryable'>;
  readonly retryable = true;
  readonly retryAfterMs: number | undefined;
  readonly refusal: Refusal | undefined;
  constructor(
    code: CodeOf<'retryable'>,
    message: string,
    options: ErrorOptions & { retryAfterMs?: number | undefined; refusal?: Refusal | undefined } = {},
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

/**
 * Concern says what a failure concerns. A refusal that concerns every job pauses the model and costs no job
 * an attempt. A refusal that other jobs do not get counts, in the end, as a failed attempt of its job.
 *
 * - `money`, `credentials`, `address`, `model`: every job, until a person corrects the cause or the cause
 *   ends by itself.
 * - `weather`: every job, for a while.
 * - `job for now`: this job, which waits until the upstream has finished something else.
 * - `job`: this job.
 */
export type Concern = 'money' | 'credentials' | 'address' | 'model' | 'weather' | 'job for now' | 'job';

const CONCERNS: Partial<Record<FailureCode, Concern>> = {
  quota_exhausted: 'money',
  authentication: 'credentials',
  permission: 'credentials',
  wrong_address: 'address',
  model_not_found: 'model',
  rate_limited: 'weather',
  upstream_error: 'weather',
  upstream_overloaded: 'weather',
  connection_lost: 'weather',
  response_failed: 'weather',
  conflict: 'job for now',
};

export function concernOf({ code }: Failure): Concern {
  return CONCERNS[code] ?? 'job';
}

/** Refusal is the upstream's answer to a request that the upstream refused, in the upstream's own words. */
export interface Refusal {
  /** The HTTP status; undefined: the upstream accepted the request, and the response failed. */
  status?: number | undefined;
  code: string | null;
  type: string | null;
  message: string;
  param: string | null;
  /** The other fields of the error, such as `misalignment` or `metadata`, as `furtherFields` keeps them. */
  more?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * UpstreamRefusal is a refusal as plain data, without the error classes of an SDK. Its status is undefined
 * for an error event inside a stream.
 */
export interface UpstreamRefusal extends Refusal {
  retryAfterMs: number | undefined;
  /**
   * The form of the answer. `envelope`: OpenAI's `{error: {message, …}}`, the default. `json`: JSON of
   * another form. `text`: neither JSON nor a page. `page`: HTML, sent by a server between the worker and the
   * upstream.
   */
  form?: RefusalForm;
  /** The upstream model that was asked for; undefined: unknown. */
  upstreamModel?: string | undefined;
  /**
   * Whether the job's own headers chose the organization or the project. Default: the upstream's key chose
   * them.
   */
  hasOwnAccount?: boolean | undefined;
}

export type RefusalForm = 'envelope' | 'json' | 'text' | 'page';

/**
 * failureFromRefusal judges the upstream's refusals by status, code, type and words. No other function does.
 *
 * Sources: OpenAI's error-codes guide; the error forms of Azure, OpenRouter, LiteLLM, xAI, Groq, vLLM,
 * FastAPI and of proxies in front of them, as users have reported them.
 */
export function failureFromRefusal({
  retryAfterMs,
  form = 'envelope',
  upstreamModel,
  hasOwnAccount = false,
  ...refusal
}: UpstreamRefusal): Failure {
  const { status } = refusal;
  const message = describe(refusal);
  const terminal = (code: CodeOf<'terminal'>): Failure => new TerminalError(code, message, { refusal });
  const retryable = (code: CodeOf<'retryable'>): Failure =>
    new RetryableError(code, message, { retryAfterMs, refusal });

  if (status === undefined) {
    const { type, message: words, param, more } = refusal;
    const code = refusal.code ?? type ?? 'unknown';
    return failureFromResponseError({ ...more, code, message: words, type, param });
  }
  if (hasOwnAccount && saysNamedAccount(refusal)) return terminal('invalid_request');
  if (saysMoney(refusal)) return retryable('quota_exhausted');
  if (form === 'page' && status < 500 && !STATUSES_OF_PAGES.has(status)) return retryable('wrong_address');
  if (saysTooLarge(refusal)) return terminal('request_too_large');
  if (saysBusy(refusal)) return retryable('conflict');
  if (saysModel(refusal, upstreamModel)) return retryable('model_not_found');
  if (status < 500 && saysThrottled(refusal)) return retryable('rate_limited');
  if (status < 500 && saysContent(refusal)) return terminal('response_refused');
  if (status < 500 && status !== 401 && saysCredentials(refusal)) return retryable('permission');
  switch (status) {
    case 401:
    case 407:
      return retryable('authentication');
    case 403:
      return retryable(form === 'envelope' ? 'permission' : 'wrong_address');
    case 404:
      return namesThing(refusal) ? terminal('not_found') : retryable('wrong_address');
    case 405:
    case 421:
    case 426:
    case 511:
      return retryable('wrong_address');
    case 408:
    case 425:
    case 499:
      return retryable('upstream_error');
    case 409:
    case 423:
      return retryable('conflict');
    case 413:
      return terminal('request_too_large');
    case 420:
    case 429:
    case 430:
      return retryable('rate_limited');
    // Groq and others send 498 for a lack of capacity, Anthropic and some proxies send 529.
    case 498:
    case 503:
    case 529:
      return retryable('upstream_overloaded');
    default:
      if (status >= 500) return retryable('upstream_error');
      return status < 400 || saysAddress(refusal) ? retryable('wrong_address') : terminal('invalid_request');
  }
}

/**
 * An HTML page with one of these statuses may come from a proxy. Such a page is judged by its status, like
 * any other answer.
 */
const STATUSES_OF_PAGES = new Set([408, 413, 425, 429, 498, 499]);

/**
 * The codes, inside a response or an error event, of failures that would happen again after another purchase.
 * OpenAI may add codes, so a failure with an unknown code may be retried.
 */
const HOPELESS_CODES =
  /^(invalid_|bio_policy|misalignment_policy|data_residency|image_|empty_image|unsupported_|failed_to_download_image)/;

/**
 * The HTTP status that an error's code or type stands for, when the error came with another status or in a
 * stream.
 */
const STATUS_BY_TYPE: Readonly<Record<string, number>> = {
  BadRequestError: 400,
  AuthenticationError: 401,
  authentication_error: 401,
  PermissionDeniedError: 403,
  permission_error: 403,
  NotFoundError: 404,
  not_found_error: 404,
  ConflictError: 409,
  UnprocessableEntityError: 422,
  RateLimitError: 429,
  rate_limit_error: 429,
  overloaded_error: 529,
};

/** Judges the `error` of a response that the upstream accepted and then failed, or of an error event. */
export function failureFromResponseError(error: {
  code: string;
  message: string;
  type?: string | null;
  param?: string | null;
  [field: string]: unknown;
}): Failure {
  const { code, message: words, type = null, param = null } = error;
  const message = `${code}: ${words}`;
  const refusal: Refusal = { code, type, message: words, param };
  const more = furtherFields(error, ['code', 'message', 'type', 'param']);
  if (more !== undefined) refusal.more = more;
  if (saysMoney(refusal)) return new RetryableError('quota_exhausted', message, { refusal });
  if (code === 'rate_limit_exceeded') {
    return saysTooLarge(refusal)
      ? new TerminalError('request_too_large', message, { refusal })
      : new RetryableError('rate_limited', message, { refusal });
  }
  if (code === 'model_not_found') return new RetryableError('model_not_found', message, { refusal });
  // Only the code counts here: the words may come from a tool's server, and concern that server's key.
  if (saysCredentials({ ...refusal, message: '' }))
    return new RetryableError('permission', message, { refusal });
  if (HOPELESS_CODES.test(code)) return new TerminalError('response_refused', message, { refusal });
  const status = statusIn(code, type);
  if (status === undefined) return new RetryableError('response_failed', message, { refusal });
  return failureFromRefusal({ ...refusal, status, retryAfterMs: undefined });
}

/** The HTTP status that an error names as its code or its type; undefined: none. */
export function statusIn(code: string | null, type: string | null): number | undefined {
  if (code !== null && /^[345]\d\d$/.test(code)) return Number(code);
  return STATUS_BY_TYPE[type ?? ''] ?? STATUS_BY_TYPE[code ?? ''];
}

function describe({ status, code, message }: Refusal): string {
  const origin = status === undefined ? 'the upstream said' : `the upstream answered ${status}`;
  return code === null || code === String(status) ? `${origin}: ${message}` : `${origin} ${code}: ${message}`;
}
