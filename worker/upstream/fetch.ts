import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { type Agent, type Dispatcher, Headers, Response, fetch as undiciFetch } from 'undici';
import { NothingSentError } from './errors.ts';
import { refusalBodyFrom } from './refusal-body.ts';

/**
 * baseOf splits a base URL as the SDK takes it. Azure's has a query, such as `?api-version=preview`: every path goes
 * before it.
 */
export function baseOf(baseUrl: string | undefined): {
  baseURL?: string;
  defaultQuery?: Record<string, string>;
} {
  if (baseUrl === undefined) return {};
  const url = new URL(baseUrl);
  const defaultQuery = Object.fromEntries(url.searchParams);
  url.search = '';
  url.hash = '';
  return { baseURL: url.href.replace(/\/$/, ''), defaultQuery };
}

/**
 * fetchThrough returns undici's own fetch, which has the version of its agents; Node's may have another. A request
 * may name another agent.
 *
 * It says of an error whether a server may have read the request. It follows no redirect, which would make a GET of
 * a create. It puts each refusal into OpenAI's envelope: the SDK would keep nothing of another body.
 */
export function fetchThrough(agent: Agent): typeof globalThis.fetch {
  let hasAnswered = false;
  const fetch = async (url: string, { dispatcher = agent, ...init }: { dispatcher?: Dispatcher }) => {
    const progress: Progress = { isSent: false, status: undefined };
    try {
      const reply = await undiciFetch(url, {
        redirect: 'manual',
        ...init,
        dispatcher: watched(dispatcher, progress),
      });
      hasAnswered = true;
      if (!reply.ok) return await enveloped(reply);
      return reply;
    } catch (error: unknown) {
      // undici makes an error of this status, as browsers do.
      if (progress.status === 407)
        return await enveloped(new Response('The proxy wants credentials', { status: 407 }));
      if (!(error instanceof Error) || error.name === 'AbortError') throw error;
      if (!progress.isSent) throw new NothingSentError(error.message, { cause: error.cause ?? error });
      if (!hasAnswered && url.startsWith('http:') && (await speaksTls(new URL(url)))) {
        throw new NothingSentError('its port speaks TLS, so the base URL should begin with https');
      }
      throw error;
    }
  };
  return fetch as unknown as typeof globalThis.fetch;
}

/** Progress is how far a request has come. */
interface Progress {
  isSent: boolean;
  /** The status of its reply; undefined: there is none yet. */
  status: number | undefined;
}

/** A dispatcher that notes when a request gets its connection. Right after that its first byte is written. */
function watched(dispatcher: Dispatcher, progress: Progress): Dispatcher {
  return dispatcher.compose((dispatch) => (options, handler) => {
    const onRequestStart = handler.onRequestStart?.bind(handler);
    const onResponseStart = handler.onResponseStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      progress.isSent = true;
      onRequestStart?.(controller, context);
    };
    handler.onResponseStart = (controller, status, headers, message) => {
      progress.status = status;
      onResponseStart?.(controller, status, headers, message);
    };
    return dispatch(options, handler);
  });
}

const TLS_ANSWER_MS = 2000;

/**
 * Whether the port of a URL answers a TLS handshake, be it with an alert. Most servers that expect TLS close a
 * connection that begins with plain HTTP without a word, which looks like a request that was lost on its way. Such
 * a server cannot read plain HTTP. It is not asked once anything has answered there in plain HTTP.
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

async function enveloped(reply: Response): Promise<Response> {
  const body = await reply.text().catch(() => '');
  const headers = new Headers(reply.headers);
  for (const name of ['content-length', 'content-encoding']) headers.delete(name);
  const error = refusalBodyFrom(body, headers.get('content-type') ?? '');
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify({ error }), { status: reply.status, headers });
}
