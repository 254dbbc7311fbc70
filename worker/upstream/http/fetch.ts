import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { Dispatcher } from 'undici';
import { refusalBodyFrom } from '../../../src/errors/refusal-body.ts';
import type { AdvertisedLimits } from '../../../src/quota/quota.ts';
import { AnswerTooLargeError } from '../errors.ts';
import { exchange, type Reply, type Wire } from './exchange.ts';

/** FetchOptions are what a call may pass through the SDK's `fetchOptions`. */
export interface FetchOptions {
  /** Default: the agent of `fetchThrough`. */
  dispatcher?: Dispatcher;
  /** Is told whether the request was sent. */
  wire?: Wire;
}

type FetchInit = FetchOptions & { method: string; headers: Headers; body?: string; signal: AbortSignal };

/**
 * fetchThrough returns the `fetch` that the SDK calls. It resolves to a `Reply`, whose body the SDK does not
 * read, or to a `Response` for a refusal, whose body it reads. Each refusal is put into OpenAI's envelope,
 * because the SDK would drop any other body. It follows no redirect, because that would turn a create into a
 * GET.
 */
export function fetchThrough(
  agent: Dispatcher,
  { masked }: Pick<Reading, 'masked'>,
): typeof globalThis.fetch {
  let hasAnswered = false;
  const fetch = async (url: string, init: FetchInit): Promise<Reply | Response> => {
    const { dispatcher = agent, wire = { isSent: false }, method, headers, body, signal } = init;
    try {
      const request = { method, headers: Object.fromEntries(headers), body, signal, wire };
      const reply = await exchange(dispatcher, url, request);
      hasAnswered = true;
      return reply.ok ? reply : await enveloped(reply, masked);
    } catch (error: unknown) {
      const isBroken = wire.isSent && !signal.aborted && !hasAnswered;
      if (!isBroken || !url.startsWith('http:') || !(await speaksTls(new URL(url)))) throw error;
      wire.isSent = false;
      throw new Error('its port speaks TLS, so the base URL should begin with https');
    }
  };
  return fetch as unknown as typeof globalThis.fetch;
}

const TLS_ANSWER_MS = 2000;

/**
 * speaksTls tells whether the port of a URL answers a TLS handshake, even with an alert. When a connection
 * begins with plain HTTP, most TLS servers close it without an answer, which looks like a request that was
 * lost on its way. Such a server cannot read plain HTTP. A port that has once answered plain HTTP is not
 * asked.
 */
function speaksTls({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, '');
    const socket = connect({
      ...{ host, port: Number(port || 80), rejectUnauthorized: false, timeout: TLS_ANSWER_MS },
      ...(isIP(host) === 0 && { servername: host }),
    });
    const end = (isTls: boolean): void => {
      socket.destroy();
      resolve(isTls);
    };
    socket.once('secureConnect', () => end(true));
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => end(code.includes('_ALERT_')));
    socket.once('timeout', () => end(false));
    socket.once('close', () => end(false));
  });
}

/**
 * isSimulated says whether a reply came from our simulator, by a header that no other server sends. A
 * simulator that stands in for a paid upstream leaves it out.
 */
export function isSimulated({ headers }: { headers: Pick<Headers, 'get'> }): boolean {
  return headers.get('o3q-simulated') === 'true';
}

/**
 * pollAfterMsOf reads how long the upstream asks to wait before the next lookup, in milliseconds, from the
 * header that OpenAI's SDK obeys in its polling helpers. undefined: it asks for nothing.
 */
export function pollAfterMsOf(headers: Pick<Headers, 'get'>): number | undefined {
  const text = headers.get('openai-poll-after-ms');
  return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}

/** advertisedLimitsOf reads the limits from the `x-ratelimit-*` headers of an answer. */
export function advertisedLimitsOf(headers: Pick<Headers, 'get'>): AdvertisedLimits {
  const count = (name: string): number | undefined => {
    const text = headers.get(`x-ratelimit-${name}`);
    return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
  };
  // Some servers send 0 when there is no limit. A server that accepts nothing refuses instead.
  const limit = (name: string): number | undefined => count(name) || undefined;
  return {
    limitRequests: limit('limit-requests'),
    limitTokens: limit('limit-tokens'),
    remainingRequests: count('remaining-requests'),
    remainingTokens: count('remaining-tokens'),
  };
}

async function enveloped(reply: Reply, masked: Reading['masked']): Promise<Response> {
  const body = masked(await beginningOf(reply, LARGEST_REFUSAL_BYTES).catch(() => ''));
  const headers = new Headers(reply.headers);
  for (const name of ['content-length', 'content-encoding']) headers.delete(name);
  // The page of a proxy that wants credentials would be taken for that of a wrong address.
  const error =
    reply.status === 407
      ? refusalBodyFrom('The proxy wants credentials', '')
      : refusalBodyFrom(body, headers.get('content-type') ?? '');
  headers.set('content-type', 'application/json');
  const { more = null, ...words } = error;
  return new Response(JSON.stringify({ error: { ...words, more } }), { status: reply.status, headers });
}

/** Reading says how the replies of the upstream are read. */
export interface Reading {
  /**
   * The largest answer that is read, in bytes after decompression. A stream may have `STREAM_FACTOR` times as
   * many in all, but no more than this in one event.
   */
  largestBytes: number;
  /** Removes the upstream's API key from a text: some servers repeat it in their refusals. */
  masked(text: string): string;
}

/**
 * A stream repeats its answer: in deltas of a few characters with 200 bytes around each, in the events that
 * end a part and an item, and in the final response.
 */
export const STREAM_FACTOR = 4;
/**
 * How much of a refusal is read, in bytes. Only the first 1000 characters of its words are quoted, but in a
 * web page the words come later than that.
 */
const LARGEST_REFUSAL_BYTES = 256 * 1024;
const BEGINNING_CHARACTERS = 1000;
/**
 * textPieces decodes the UTF-8 of a reply's body, without a byte order mark. Decompression continues only
 * while pieces are read, so that a small reply that unpacks to gigabytes is stopped at the limit.
 *
 * @param signal the signal of the connection. A body that ends because the signal aborts ends without an
 * error.
 * @throws {AnswerTooLargeError}
 */
export async function* textPieces(
  body: Reply['body'],
  signal: AbortSignal | undefined,
  mostBytes: number,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let beginning = '';
  try {
    for await (const piece of body) {
      bytes += piece.byteLength;
      if (bytes > mostBytes) throw new AnswerTooLargeError(mostBytes, beginning);
      const text = decoder.decode(piece, { stream: true });
      if (beginning.length < BEGINNING_CHARACTERS) beginning += text.slice(0, BEGINNING_CHARACTERS);
      yield text;
    }
    yield decoder.decode();
  } catch (error: unknown) {
    if (error instanceof AnswerTooLargeError || !signal?.aborted) throw error;
  }
}

/** textOf reads a whole reply. @throws {AnswerTooLargeError} */
export async function textOf({ body }: Reply, { largestBytes, masked }: Reading): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of textPieces(body, undefined, largestBytes)) pieces.push(piece);
  return masked(pieces.join(''));
}

/** Reads the beginning of a reply, up to a limit. */
async function beginningOf({ body }: Reply, mostBytes: number): Promise<string> {
  const pieces: string[] = [];
  try {
    for await (const piece of textPieces(body, undefined, mostBytes)) pieces.push(piece);
  } catch (error: unknown) {
    if (!(error instanceof AnswerTooLargeError)) throw error;
  }
  return pieces.join('');
}
