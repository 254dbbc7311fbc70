import { fetch } from 'undici';
import { baseOf, maskOf, type UpstreamAddress } from '../../../src/config/upstream-address.ts';
import { createUpstreamAgent } from '../../../src/config/upstream-agent.ts';
import { type Failure, failureFromRefusal } from '../../../src/errors/failure.ts';
import { refusalBodyFrom } from '../../../src/errors/refusal-body.ts';
import { isJsonObject } from '../../../src/job/exact-json.ts';
import type { UpstreamHeaders } from '../../../src/job/fields/upstream-headers.ts';

/** UpstreamCall sends one call to the upstream. It never sends it twice. */
export type UpstreamCall = (request: DirectRequest) => Promise<DirectOutcome>;

export interface DirectRequest {
  /** The path below the base URL, such as `/responses/compact`. */
  path: string;
  /** The body as JSON. */
  body: string;
  headers: UpstreamHeaders;
  /** The upstream's name of the model, to judge a refusal. */
  upstreamModel: string;
  /** The longest time until the whole answer has come, in milliseconds. */
  timeoutMs: number;
  /** Ends the call. */
  signal?: AbortSignal | undefined;
}

/** DirectOutcome is how a call has ended. */
export type DirectOutcome =
  | { kind: 'answer'; json: Buffer; answer: Record<string, unknown>; simulated: boolean }
  | { kind: 'refused'; status: number; failure: Failure; headers: Record<string, string> }
  /** The answer is no JSON object, so that the server is not the API. */
  | { kind: 'unreadable'; words: string }
  /** `isSent` is false when the upstream cannot have read the call. */
  | { kind: 'broken'; isSent: boolean; isLate: boolean; words: string };

/** How many connections one process opens to the upstream for such calls. */
const CONNECTIONS = 32;
/** The longest answer, in bytes: a compacted conversation may have the images of its messages. */
const LONGEST_ANSWER = 64 * 1024 ** 2;
const OPENAI = 'https://api.openai.com/v1';
const RETRY_HEADERS = ['retry-after', 'retry-after-ms', 'x-should-retry'];
/** The codes of errors that come before a connection exists. */
const NOT_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.*|ERR_SSL_.*|CERT_.*|.*_CERT.*)$/;

/** baseUrlOf returns the base URL of an upstream, without a password or a query. */
export function baseUrlOf({ baseUrl }: UpstreamAddress): string {
  const url = new URL(baseOf(baseUrl).baseURL ?? OPENAI);
  url.username = '';
  url.password = '';
  return url.href.replace(/\/$/, '');
}

/** @param draining aborts when the producer is about to stop; calls that are under way go on. */
export function createUpstreamCall(upstream: UpstreamAddress, draining: AbortSignal): UpstreamCall {
  const { baseURL = OPENAI, defaultQuery = {} } = baseOf(upstream.baseUrl);
  const query = new URLSearchParams(defaultQuery).toString();
  const agent = createUpstreamAgent(upstream.proxy, {
    connections: CONNECTIONS,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  draining.addEventListener('abort', () => void agent.close().catch(() => {}), { once: true });
  return async ({ path, body, headers, upstreamModel, timeoutMs, signal }) => {
    // It may change while the call is under way.
    const { apiKey } = upstream;
    const masked = maskOf(apiKey);
    const late = AbortSignal.timeout(timeoutMs);
    try {
      const reply = await fetch(`${baseURL}${path}${query === '' ? '' : `?${query}`}`, {
        method: 'POST',
        body,
        headers: {
          ...headers,
          authorization: `Bearer ${apiKey ?? 'none'}`,
          'content-type': 'application/json',
          accept: 'application/json',
        },
        // A redirect would turn the call into a GET.
        redirect: 'manual',
        dispatcher: agent,
        signal: signal === undefined ? late : AbortSignal.any([late, signal]),
      });
      const text = masked(await textOf(reply.body));
      const type = reply.headers.get('content-type') ?? '';
      if (!reply.ok) {
        const words = { ...refusalBodyFrom(text, type), status: reply.status, retryAfterMs: undefined };
        return {
          kind: 'refused',
          status: reply.status,
          failure: failureFromRefusal({ ...words, upstreamModel }),
          headers: Object.fromEntries(
            RETRY_HEADERS.flatMap((name) => {
              const value = reply.headers.get(name);
              return value === null ? [] : [[name, value]];
            }),
          ),
        };
      }
      const answer = answerIn(text);
      if (answer === undefined) return { kind: 'unreadable', words: refusalBodyFrom(text, type).message };
      const simulated = reply.headers.get('o3q-simulated') === 'true';
      return { kind: 'answer', json: Buffer.from(text), answer, simulated };
    } catch (error: unknown) {
      const cause = causeOf(error);
      const isSent = !NOT_CONNECTED.test(cause.code);
      return { kind: 'broken', isSent, isLate: late.aborted, words: masked(cause.words) };
    }
  };
}

function answerIn(text: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

async function textOf(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.byteLength;
    if (bytes > LONGEST_ANSWER) throw new Error(`its answer is longer than ${LONGEST_ANSWER / 1024 ** 2} MB`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** `fetch` hides the reason in the cause of its error. */
function causeOf(error: unknown): { code: string; words: string } {
  const { cause = error } = Object(error) as { cause?: unknown };
  const { code = '', message = '' } = Object(cause) as { code?: unknown; message?: string };
  return { code: String(code), words: message || String(code) || String(error) };
}
