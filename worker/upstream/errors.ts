import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai';
import {
  type Failure,
  failureFromRefusal,
  isFailure,
  RetryableError,
  statusIn,
  TerminalError,
} from '../../src/errors/failure.ts';
import { errorIn, isPage, parsed, type RefusalBody, refusalBodyFrom } from '../../src/errors/refusal-body.ts';
import { retryAfterMs } from '../../src/errors/retry-after.ts';

/**
 * PurchaseUncertainError says that a create broke off after it may have reached the upstream. Whether it
 * bought a response is unknown.
 */
export class PurchaseUncertainError extends Error {
  override readonly name = 'PurchaseUncertainError';
  readonly failure: RetryableError;
  constructor(failure: RetryableError) {
    super(failure.message, { cause: failure });
    this.failure = failure;
  }
}

/** ConnectionBrokenError says that a connection broke off in the middle of a reply. */
export class ConnectionBrokenError extends Error {
  override readonly name = 'ConnectionBrokenError';
}

/**
 * AnswerTooLargeError says that the upstream's answer is larger than `largestBytes`. The answer was paid for.
 */
export class AnswerTooLargeError extends TerminalError {
  /** The id of the response, if the beginning of the answer contains it. */
  readonly responseId: string | undefined;
  constructor(largestBytes: number, beginning: string) {
    super(
      'answer_too_large',
      `The answer is larger than ${largestBytes / 1024 ** 2} MB, the most that o3-queue takes; it was paid for`,
    );
    this.responseId = /"id"\s*:\s*"(resp_[\w-]+)"/.exec(beginning)?.[1];
  }
}

/**
 * failureFromSdk turns an error of a call into a failure; undefined for a connection that we ended ourselves,
 * and for an error that has already been judged.
 */
export function failureFromSdk(
  error: unknown,
  { upstreamModel, hasOwnAccount }: Asked = {},
): Failure | undefined {
  if (isFailure(error)) return error;
  if (error instanceof APIUserAbortError || error instanceof PurchaseUncertainError) return undefined;
  if (isUnsendable(error)) return outOfReach(error);
  if (error instanceof APIConnectionTimeoutError) {
    return new RetryableError('connection_lost', 'The upstream did not answer in time', { cause: error });
  }
  if (error instanceof APIConnectionError) return outOfReach(error);
  if (error instanceof APIError) {
    const { form, ...words } = bodyOf(error);
    return failureFromRefusal({
      ...{ status: error.status, ...words, form, upstreamModel, hasOwnAccount },
      retryAfterMs: upstreamWaitMs(error.headers),
    });
  }
  if (error instanceof ConnectionBrokenError) {
    return new RetryableError('connection_lost', `The connection to the upstream broke: ${causeOf(error)}`, {
      cause: error,
    });
  }
  // The answer cannot be read: for example, an event is cut in two, or an object lacks its fields.
  const words = error instanceof Error ? error.message : String(error);
  return new RetryableError('upstream_error', `The upstream's answer could not be understood: ${words}`, {
    cause: error,
  });
}

function outOfReach(error: Error): RetryableError {
  return new RetryableError('connection_lost', `The upstream could not be reached: ${causeOf(error)}`, {
    cause: error,
  });
}

/** Asked says which model a call names and to which address it goes. */
interface Asked {
  /** undefined: the call names none. */
  upstreamModel?: string;
  /** Whether the headers of the job choose the organization or the project. Default: false. */
  hasOwnAccount?: boolean;
}

/**
 * judged makes a call and turns its errors into failures.
 * @param asked.address the base URL. A failure names it if the address may be wrong.
 */
export async function judged<Output>(
  call: () => Promise<Output>,
  { address, ...asked }: Asked & { address?: string } = {},
): Promise<Output> {
  try {
    return await call();
  } catch (error: unknown) {
    const failure = failureFromSdk(error, asked);
    if (failure instanceof RetryableError && failure.code === 'wrong_address' && address !== undefined) {
      const { code, message, refusal, retryAfterMs } = failure;
      throw new RetryableError(code, `${message} (OPENAI_BASE_URL is ${address})`, {
        ...{ refusal, retryAfterMs, cause: failure },
      });
    }
    throw failure ?? error;
  }
}

/**
 * The 5xx statuses by which a proxy says that it did not forward the request. 521 to 523, 525, 526 and 530
 * are Cloudflare's: it could not connect to the server behind it, or the server's TLS or name was wrong.
 */
const NOT_HANDED_ON = new Set([501, 503, 521, 522, 523, 525, 526, 529, 530]);

/**
 * mayHaveBought says whether a create that was sent, and ended with this error, may have bought a response. A
 * refusal in words shows that it did not. A 5xx without an envelope comes from a proxy, which cannot know.
 */
export function mayHaveBought(error: unknown): boolean {
  if (isFailure(error)) {
    return (
      error.refusal === undefined && (error.code === 'connection_lost' || error.code === 'upstream_error')
    );
  }
  if (error instanceof APIError && error.status !== undefined) {
    if (error.status < 500 || NOT_HANDED_ON.has(error.status)) return false;
    return bodyOf(error).form !== 'envelope';
  }
  return true;
}

/** What the SDK throws before it calls `fetch`, when a header or a URL is invalid. */
const UNSENDABLE = /invalid header|ByteString|Invalid URL|header (name|value)/i;

function isUnsendable(error: unknown): error is TypeError {
  return error instanceof TypeError && UNSENDABLE.test(error.message);
}

/** unsentFrom returns the failure of a create of which no byte was sent. */
export function unsentFrom(error: unknown): Failure {
  if (isFailure(error)) return error;
  return outOfReach(error instanceof Error ? error : new Error(String(error)));
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

/**
 * refusalInAnswer judges a 200 that is not a response: an error in it, a web page, or another service's
 * answer. undefined: it may be the damaged answer of a purchase.
 */
export function refusalInAnswer(
  body: string,
  contentType: string,
  upstreamModel?: string,
): Failure | undefined {
  const refuse = (status: number, words: RefusalBody): Failure =>
    failureFromRefusal({ ...words, status, retryAfterMs: undefined, upstreamModel });
  if (isPage(body, contentType)) return refuse(404, refusalBodyFrom(body, contentType));
  const json = parsed(body);
  if (json === undefined) {
    const isCut = /^\s*([{["]|$)/.test(body);
    return isCut ? undefined : refuse(404, refusalBodyFrom(body, contentType));
  }
  const error = errorIn(json);
  if (error !== undefined && isError200(json)) {
    // There is no status, so the words decide. If they do not, the failure concerns only this request.
    const status = statusIn(error.code, error.type) ?? 400;
    return refuse(status, { ...error, form: 'envelope' });
  }
  const looksBought =
    typeof json === 'object' && json !== null && ('output' in json || 'choices' in json || 'id' in json);
  if (looksBought) return undefined;
  return refuse(404, {
    ...{ type: null, param: null, code: null, form: 'json' },
    message: `${error?.message ?? 'no response object'}: is the base URL that of a Responses API?`,
  });
}

const ERROR_FIELDS = ['error', 'errors', 'detail', 'code', 'type', 'error_code', 'error_msg'];

/** Returns whether the JSON of a 200 is an error. An object with only a `message` may be anything. */
function isError200(json: unknown): boolean {
  if (typeof json !== 'object' || json === null) return false;
  if (Array.isArray(json) || ERROR_FIELDS.some((field) => field in json)) return true;
  return ('success' in json && json.success === false) || ('status' in json && json.status === 'error');
}

/**
 * refusesBackground says whether a refusal means that this server has no background mode. It looks at the
 * refusal's status, at the field that the refusal names, and at its words.
 */
export function refusesBackground(error: unknown): boolean {
  const { message, param } = unsupported(error) ?? {};
  return (
    param === 'background' ||
    param === 'store' ||
    (message !== undefined && /\bbackground\b|\bstore\b/i.test(message))
  );
}

/** refusesStream says whether a refusal means that this server does not stream. */
export function refusesStream(error: unknown): boolean {
  const { message, param } = unsupported(error) ?? {};
  return param === 'stream' || (message !== undefined && /\bstream(ing|s|ed)?\b/i.test(message));
}

/** Words about something that a server cannot do, or that this account may not use. */
const UNSUPPORTED =
  /unsupported|\bnot\b.{0,20}\b(support|enabled|available|implement|allowed|permitted)|\bmust be verified\b/i;

/**
 * Returns the refusal if it may mean that the server lacks a capability. With a status that mostly says
 * something else (LiteLLM: 500, gateways: 403 and 405), the refusal has to say so in words.
 */
function unsupported(error: unknown): RefusalBody | undefined {
  const refusal = refusalIn(error);
  if (refusal === undefined) return undefined;
  const { status, ...words } = refusal;
  if ([400, 404, 422, 501].includes(status ?? 0)) return words;
  return [403, 405, 500].includes(status ?? 0) && UNSUPPORTED.test(words.message) ? words : undefined;
}

/** refusalIn returns the upstream's words of a refusal; undefined: the error is none. */
export function refusalIn(error: unknown): (RefusalBody & { status: number | undefined }) | undefined {
  if (error instanceof APIError) return { ...bodyOf(error), status: error.status };
  if (!isFailure(error) || error.refusal === undefined) return undefined;
  return { ...error.refusal, form: 'envelope', status: error.refusal.status };
}

/** The longest Retry-After that counts. A longer one is a mistake of the server. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** upstreamWaitMs returns how long the upstream asks to wait, in milliseconds. */
export function upstreamWaitMs(headers: Headers | undefined): number | undefined {
  const waitMs = retryAfterMs(headers);
  return waitMs === undefined ? undefined : Math.min(waitMs, LONGEST_RETRY_AFTER_MS);
}

/**
 * Returns the upstream's own words. `fetchThrough` has put every refusal into OpenAI's envelope. Errors
 * inside a stream come as they were sent.
 */
function bodyOf(error: APIError): RefusalBody {
  const body: unknown = error.error;
  if (typeof body === 'object' && body !== null && 'form' in body && 'more' in body) {
    const { more, ...words } = body as Omit<RefusalBody, 'more'> & { more: RefusalBody['more'] | null };
    return more === null ? words : { ...words, more };
  }
  return errorIn({ error: body }) ?? refusalBodyFrom(error.message.replace(/^\d{3} /, ''), '');
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

/**
 * Checks the shape and not the class. Under some test runners an error of Node has a class from another
 * realm.
 */
function isError(value: unknown): value is Error {
  return typeof value === 'object' && value !== null && 'message' in value;
}

/**
 * sdkErrorIn makes the error that the SDK would have thrown for an error inside a reply. Of the headers it
 * keeps only what such an error can use, because a stream lasts for minutes.
 */
export function sdkErrorIn({ headers }: Response): (envelope: object) => Error {
  const kept = [...headers].filter(([name]) => name.startsWith('retry-after'));
  return (envelope) => new APIError(undefined, envelope, undefined, new Headers(kept));
}
