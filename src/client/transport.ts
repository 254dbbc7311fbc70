import { types } from 'node:util';
import { sleep } from '../async/sleep.ts';
import { retryAfterMs } from '../errors/retry-after.ts';
import { stringifyExact } from '../job/exact-json.ts';
import { errorFromResponse, jsonFrom, O3ClientError, unexpectedResponse } from './client-error.ts';

/**
 * How long an answer may take, in milliseconds, in addition to the time that a long poll is held. Both
 * together stay far below Node's own limit of 300 s without headers.
 */
const ANSWER_MS = 30_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;
/** Temporary statuses: too many requests, Redis is away, or a proxy whose producer restarts. */
const CANNOT_SERVE_NOW: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface TransportOptions {
  /** The URL of the instance, without a slash at its end. */
  url: string;
  apiKey: string | undefined;
}

export interface Answer {
  status: number;
  /** The parsed JSON; undefined for an empty body. */
  body: unknown;
}

export interface ReadOptions {
  signal: AbortSignal | undefined;
  /** How long to retry while the instance is unreachable or cannot serve, in milliseconds. */
  patienceMs: number;
  /** How long the instance holds a long poll, in milliseconds. */
  holdMs?: number;
  /** Statuses of 400 and above that are answers here, not errors. */
  alsoAnswers?: readonly number[];
}

export interface Write {
  method: 'POST' | 'DELETE';
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  holdMs?: number;
  signal: AbortSignal | undefined;
  /**
   * How long to retry a write that may safely be repeated, in milliseconds. Default 0: the write is sent
   * once.
   */
  patienceMs?: number;
}

interface Reply {
  response: Response;
  text: string;
}

export interface Transport {
  /**
   * Sends a read, and repeats it after broken connections and the statuses 429, 502, 503 and 504: reading
   * twice does no harm.
   */
  read(path: string, options: ReadOptions): Promise<Answer>;
  /** Opens a stream: it returns the response once its status shows success. */
  open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response>;
  /** Sends a write, by default only once: a job that is enqueued twice is bought twice. */
  write(request: Write): Promise<Answer>;
}

/**
 * createTransport makes a Transport, which sends HTTP requests to one instance. A 2xx status with JSON is an
 * answer. Everything else throws an O3ClientError, or the signal's reason.
 */
export function createTransport({ url, apiKey }: TransportOptions): Transport {
  const headers = {
    accept: 'application/json, application/problem+json',
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
  };

  function send(
    path: string,
    init: RequestInit,
    holdMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Reply> {
    return withDeadline(ANSWER_MS + holdMs, signal, async (abort) => {
      // Following a redirect would turn a POST into a GET, and send the key to another address.
      const response = await fetch(`${url}${path}`, { ...init, signal: abort, redirect: 'manual' });
      return { response, text: await response.text() };
    });
  }

  function answerFrom({ response, text }: Reply, alsoAnswers: readonly number[] = []): Answer {
    const { status } = response;
    if (status >= 300 && status < 400) {
      throw unexpectedResponse(url, status, `a redirect to ${response.headers.get('location') ?? 'nowhere'}`);
    }
    const body = jsonFrom(text);
    const answers = status < 300 || alsoAnswers.includes(status);
    if (answers && (body !== undefined || status === 204)) return { status, body };
    throw errorFromResponse(url, response, text, retryAfterMs(response.headers));
  }

  /**
   * @param brokenBy makes the error for a broken connection. The call throws it once `patienceMs` is over.
   */
  async function repeated(
    sendOnce: () => Promise<Reply>,
    { signal, patienceMs, alsoAnswers }: ReadOptions,
    brokenBy: (error: unknown) => O3ClientError,
  ): Promise<Answer> {
    let giveUpAt: number | undefined;
    for (let failures = 0; ; failures += 1) {
      const reply = await sendOnce().catch((error: unknown) => {
        signal?.throwIfAborted();
        return brokenBy(error);
      });
      const broken = reply instanceof O3ClientError;
      if (!broken && !CANNOT_SERVE_NOW.has(reply.response.status)) return answerFrom(reply, alsoAnswers);

      const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      const waitMs = broken ? backoffMs : (retryAfterMs(reply.response.headers) ?? backoffMs);
      giveUpAt ??= performance.now() + patienceMs;
      if (patienceMs <= 0 || performance.now() + waitMs > giveUpAt) {
        if (broken) throw reply;
        return answerFrom(reply);
      }
      await sleep(waitMs, signal);
    }
  }

  function read(path: string, options: ReadOptions): Promise<Answer> {
    const { signal, holdMs = 0 } = options;
    return repeated(
      () => send(path, { headers }, holdMs, signal),
      options,
      (error) => unreachable(url, error),
    );
  }

  function write({
    method,
    path,
    body,
    headers: more,
    holdMs = 0,
    signal,
    patienceMs = 0,
  }: Write): Promise<Answer> {
    const init = {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }), ...more },
      ...(body !== undefined && { body: stringifyExact(body) }),
    };
    return repeated(
      () => send(path, init, holdMs, signal),
      { signal, patienceMs },
      (error) => (wasNeverSent(error) ? unreachable(url, error) : answerLost(url, error)),
    );
  }

  async function open(path: string, more: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const init = { headers: { ...headers, ...more }, signal, redirect: 'manual' } as const;
    const response = await fetch(`${url}${path}`, init).catch((error: unknown) => {
      throw unreachable(url, error);
    });
    if (response.ok) return response;
    answerFrom({ response, text: await response.text() });
    throw unexpectedResponse(url, response.status, 'no stream of events');
  }

  return { read, open, write };
}

/**
 * withDeadline does not use `AbortSignal.any`. With it, a signal that lives as long as the program would
 * collect a listener for each call.
 */
async function withDeadline<Value>(
  deadlineMs: number,
  signal: AbortSignal | undefined,
  run: (abort: AbortSignal) => Promise<Value>,
): Promise<Value> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const follow = () => controller.abort(signal?.reason);
  const timer = setTimeout(() => {
    controller.abort(new Error(`no answer within ${Math.round(deadlineMs / 1000)} s`));
  }, deadlineMs);
  signal?.addEventListener('abort', follow, { once: true });
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', follow);
  }
}

/** Codes of errors that end a connection before it carries a request. */
const NEVER_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|EPROTO|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_)/;
/**
 * Errors without a code that also mean that the request was never sent: fetch refuses the ports of other
 * protocols (9, 6667, …), or a server closes the connection before TLS is agreed.
 */
const NEVER_SENT_WORDS = /^bad port$|before secure TLS connection was established/;
const CONNECTING: ReadonlySet<unknown> = new Set(['connect', 'getaddrinfo']);

function wasNeverSent(error: unknown): boolean {
  const cause = causeOf(error);
  if (cause === undefined) return false;
  if (NEVER_SENT_WORDS.test(cause.message)) return true;
  if ('code' in cause && NEVER_SENT.test(String(cause.code))) return true;
  // A host with several addresses has an error for each of them.
  if ('errors' in cause && Array.isArray(cause.errors))
    return cause.errors.length > 0 && cause.errors.every(wasNeverSent);
  return 'syscall' in cause && CONNECTING.has(cause.syscall);
}

/**
 * `instanceof` would fail here, because fetch may come from another realm than this file, as in a test
 * runner.
 */
function causeOf(error: unknown): Error | undefined {
  if (!types.isNativeError(error)) return undefined;
  return types.isNativeError(error.cause) ? error.cause : error;
}

function unreachable(url: string, error: unknown): O3ClientError {
  const remedy = isUnknownAuthority(error)
    ? "put its authority's certificate into a file, and the path of that file into NODE_EXTRA_CA_CERTS"
    : 'start one with `npm start` or set O3Q_URL';
  return new O3ClientError(
    'instance_unreachable',
    `No o3-queue answers at ${url} (${reasonOf(error)}): ${remedy}`,
    { cause: error },
  );
}

/** Codes of OpenSSL for a certificate whose authority this machine does not know, such as a company's own. */
const UNKNOWN_AUTHORITY = /^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

function isUnknownAuthority(error: unknown): boolean {
  const cause = causeOf(error);
  return cause !== undefined && 'code' in cause && UNKNOWN_AUTHORITY.test(String(cause.code));
}

function answerLost(url: string, error: unknown): O3ClientError {
  return new O3ClientError(
    'answer_lost',
    `The answer of ${url} was lost (${reasonOf(error)}): the call may have been carried out; check with \`o3q list\` before you repeat it`,
    { cause: error },
  );
}

/**
 * The error of fetch only says "fetch failed", and the cause of that error has the reason. For a host with
 * two addresses the cause has only a code.
 */
function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  if (cause === undefined) return String(error);
  if (cause.message !== '') return cause.message;
  return 'code' in cause ? String(cause.code) : cause.name;
}
