import { setTimeout as sleep } from 'node:timers/promises';
import { types } from 'node:util';
import { errorFromResponse, jsonFrom, O3ClientError, unexpectedResponse } from './client-error.ts';

/**
 * An answer is due within this time, on top of a long poll's. Both stay far from Node's own limit of 300 s
 * without headers.
 */
const ANSWER_MS = 30_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;
/**
 * Too often in the last minute; no Redis for a moment; or what a proxy says while the producer behind it
 * restarts.
 */
const CANNOT_SERVE_NOW: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export interface TransportOptions {
  /** Without a slash at its end. */
  url: string;
  apiKey: string | undefined;
}

export interface Answer {
  status: number;
  /** The parsed JSON; undefined where there is none. */
  body: unknown;
}

export interface ReadOptions {
  signal: AbortSignal | undefined;
  /** How long to go on trying while the instance is unreachable or cannot serve, in milliseconds. */
  patienceMs: number;
  /** What the instance may take on purpose, for a long poll, in milliseconds. */
  holdMs?: number;
  /** Statuses that are answers here although they look like refusals. */
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
   * For what does no harm when it is done twice: repeated as a read is, for so many milliseconds. Default:
   * sent once.
   */
  patienceMs?: number;
}

interface Reply {
  response: Response;
  text: string;
}

export interface Transport {
  /** Repeats itself on broken connections and 429, 502, 503 and 504: reading twice does no harm. */
  read(path: string, options: ReadOptions): Promise<Answer>;
  /** The response itself, once it has begun well. */
  open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response>;
  /** Sends once, unless it is told otherwise: a job that is enqueued twice is bought twice. */
  write(request: Write): Promise<Answer>;
}

/**
 * HTTP to one instance. 2xx with JSON is an answer; everything else is an O3ClientError, or the signal's
 * reason.
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
      // A followed redirect would turn a POST into a GET, and carry the key to wherever it points.
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
   * @param brokenBy what a connection that broke means; the call fails with it once patience is at its end.
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
      await pause(waitMs, signal);
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
      ...(body !== undefined && { body: JSON.stringify(body) }),
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

/** Waits, unless the signal ends it: then throws the signal's reason, as fetch does. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}

/**
 * By hand and not `AbortSignal.any`: a signal that lives as long as its program must not collect a listener a
 * call.
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

/** `retry-after-ms` is the exact form, Retry-After the standard one, in seconds or as a date. */
function retryAfterMs(headers: Headers): number | undefined {
  const exactMs = Number.parseFloat(headers.get('retry-after-ms') ?? '');
  if (exactMs >= 0) return exactMs;
  const standard = headers.get('retry-after') ?? '';
  if (/^\d+(\.\d+)?$/.test(standard)) return Number(standard) * 1000;
  const date = Date.parse(standard);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** No connection, or none that can be trusted: the request itself did not leave. */
const NEVER_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_)/;

function wasNeverSent(error: unknown): boolean {
  const cause = causeOf(error);
  return cause !== undefined && 'code' in cause && NEVER_SENT.test(String(cause.code));
}

/** Not by `instanceof`: fetch may belong to another realm than this file, as it does in a test runner. */
function causeOf(error: unknown): Error | undefined {
  if (!types.isNativeError(error)) return undefined;
  return types.isNativeError(error.cause) ? error.cause : error;
}

function unreachable(url: string, error: unknown): O3ClientError {
  return new O3ClientError(
    'instance_unreachable',
    `No o3-queue answers at ${url} (${reasonOf(error)}): start one with \`npm start\` or set O3Q_URL`,
    { cause: error },
  );
}

function answerLost(url: string, error: unknown): O3ClientError {
  return new O3ClientError(
    'answer_lost',
    `The answer of ${url} was lost (${reasonOf(error)}): it may have been done all the same; look with \`o3q list\` before you repeat it`,
    { cause: error },
  );
}

/**
 * fetch only says "fetch failed"; the reason is its cause, which for a host with two addresses says nothing
 * but its code.
 */
function reasonOf(error: unknown): string {
  const cause = causeOf(error);
  if (cause === undefined) return String(error);
  if (cause.message !== '') return cause.message;
  return 'code' in cause ? String(cause.code) : cause.name;
}
