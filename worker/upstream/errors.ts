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
 * Turns whatever the SDK throws into one of our two kinds of failure; undefined for a connection that we
 * ended ourselves, and for what is judged already.
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
  // What undici throws when a body ends early ("terminated") comes through the SDK as it is.
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

/** Whatever goes wrong in a call is the upstream's doing, in its words or in our own, unless we hung up. */
export async function judged<Output>(call: () => Promise<Output>): Promise<Output> {
  try {
    return await call();
  } catch (error: unknown) {
    throw failureFromSdk(error) ?? error;
  }
}

/** Errors of requests that did not leave this machine, or that no server accepted. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * Whether a create that was answered like this may have been carried out all the same. A refusal in OpenAI's
 * own envelope says that it was not; a 5xx without one comes from something in between, which knows as little
 * as we do.
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

/** The failure of a create of which `mayHaveBought` is true. */
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

/** Whether a refusal says that this server has no background mode: the status and the field that it names. */
export function refusesBackground(error: unknown): boolean {
  if (!(error instanceof APIError) || ![400, 404, 422, 501].includes(error.status ?? 0)) return false;
  return (
    error.param === 'background' ||
    error.param === 'store' ||
    /\bbackground\b|\bstore\b/i.test(messageOf(error))
  );
}

/** A wait longer than a day is a mistake of the server's, not a plan for the job. */
const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000;

/** `retry-after-ms` first, as the SDK does; `retry-after` in seconds or as a date. */
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

/** The upstream's own words: the SDK puts the status before them, and a whole HTML page in their place. */
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

/** By its shape: an error of Node's own is of another realm than ours under some test runners. */
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value;
}
