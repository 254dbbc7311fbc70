import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai';
import { type Failure, failureFromRefusal, isFailure, RetryableError } from '../../src/errors/failure.ts';

/**
 * PurchaseUncertainError: a create broke off after it may have reached the upstream, so that its outcome is
 * unknown.
 */
export class PurchaseUncertainError extends Error {
  override readonly name = 'PurchaseUncertainError';
  readonly failure: RetryableError;
  constructor(failure: RetryableError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

/**
 * failureFromSdk turns what the SDK throws into one of our two kinds of failure.
 * @returns undefined for a connection that we ended ourselves, and for an error that is one of ours already.
 */
export function failureFromSdk(error: unknown): Failure | undefined {
  if (isFailure(error)) return error;
  if (error instanceof APIUserAbortError || error instanceof PurchaseUncertainError) return undefined;
  if (error instanceof APIConnectionTimeoutError) {
    return new RetryableError('connection_lost', 'The upstream did not answer in time', { cause: error });
  }
  if (error instanceof APIConnectionError) {
    return new RetryableError('connection_lost', `The upstream could not be reached: ${causeOf(error)}`, {
      cause: error,
    });
  }
  if (error instanceof APIError) {
    return failureFromRefusal({
      status: error.status,
      code: error.code ?? null,
      type: error.type ?? null,
      param: error.param ?? null,
      message: messageOf(error),
      retryAfterMs: retryAfterMs(error.headers),
    });
  }
  // The SDK passes on what undici throws when a body ends early ("terminated").
  if (error instanceof TypeError && /terminated|fetch failed/.test(error.message)) {
    return new RetryableError('connection_lost', `The connection to the upstream broke: ${causeOf(error)}`, {
      cause: error,
    });
  }
  // An HTML page where JSON was expected, an event that is cut in two, an object without its fields.
  const words = error instanceof Error ? error.message : String(error);
  return new RetryableError('upstream_error', `The upstream's answer could not be understood: ${words}`, {
    cause: error,
  });
}

/** judged turns every error of a call into a failure, unless we ended the connection ourselves. */
export async function judged<Output>(call: () => Promise<Output>): Promise<Output> {
  try {
    return await call();
  } catch (error: unknown) {
    throw failureFromSdk(error) ?? error;
  }
}

/** Nothing of the request left this machine, or no server accepted the connection. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * mayHaveBought says whether a create that failed with this error may have been carried out. A refusal in
 * OpenAI's envelope says that it was not. A 5xx without the envelope comes from a proxy, which does not know.
 */
export function mayHaveBought(error: unknown): boolean {
  if (isFailure(error)) return error.code === 'connection_lost' || error.code === 'upstream_error';
  if (error instanceof APIConnectionTimeoutError || error instanceof APIUserAbortError) return true;
  if (error instanceof APIConnectionError) return !NEVER_SENT.has(codeOf(error));
  if (error instanceof APIError && error.status !== undefined) {
    return error.status >= 500 && error.status !== 501 && !isEnvelope(error.error);
  }
  return true;
}

/** retryableFrom returns the failure of a create for which `mayHaveBought` is true. */
export function retryableFrom(error: unknown): RetryableError {
  const failure = failureFromSdk(error);
  const code = failure instanceof RetryableError ? failure.code : 'connection_lost';
  const reason = failure?.message ?? 'it was broken off';
  return new RetryableError(code, `A request was sent, and whether it was bought is not known: ${reason}`, {
    cause: error,
  });
}

function isEnvelope(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'message' in body;
}

/**
 * refusesBackground says whether a refusal means that this server has no background mode, by its status and
 * the field that it names.
 */
export function refusesBackground(error: unknown): boolean {
  if (!(error instanceof APIError) || ![400, 404, 422, 501].includes(error.status ?? 0)) return false;
  return (
    error.param === 'background' ||
    error.param === 'store' ||
    /\bbackground\b|\bstore\b/i.test(messageOf(error))
  );
}

/** A longer wait than a day is taken for a mistake of the server. */
const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000;

/**
 * retryAfterMs reads `retry-after-ms` first, as the SDK does, then `retry-after`, in seconds or as a date.
 */
export function retryAfterMs(headers: Headers | undefined): number | undefined {
  const milliseconds = Number.parseFloat(headers?.get('retry-after-ms') ?? '');
  if (Number.isFinite(milliseconds)) return bounded(milliseconds);
  const retryAfter = headers?.get('retry-after') ?? '';
  const seconds = Number(retryAfter);
  if (retryAfter !== '' && Number.isFinite(seconds)) return bounded(seconds * 1000);
  const date = Date.parse(retryAfter);
  return Number.isNaN(date) ? undefined : bounded(date - Date.now());
}

function bounded(milliseconds: number): number {
  return Math.min(Math.max(0, milliseconds), LONGEST_RETRY_AFTER_MS);
}

/**
 * The upstream's own words. The SDK would put the status before them, or a whole HTML page in their place.
 */
function messageOf(error: APIError): string {
  const body: unknown = error.error;
  const words = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  return typeof words === 'string' ? words : error.message.slice(0, 500);
}

/** The innermost reason: "connect ECONNREFUSED 127.0.0.1:9", not "Connection error.". */
function causeOf(error: Error): string {
  const innermost = innermostOf(error);
  return innermost.message === '' ? codeOf(error) : innermost.message;
}

function codeOf(error: Error): string {
  const innermost = innermostOf(error);
  return 'code' in innermost ? String(innermost.code) : '';
}

function innermostOf(error: Error): Error {
  let innermost: Error = error;
  while (isError(innermost.cause)) innermost = innermost.cause;
  return innermost;
}

/** Goes by the shape: under some test runners an error of Node comes from another realm than ours. */
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value;
}
