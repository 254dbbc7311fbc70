import { type Agent, type Dispatcher, Headers, Response, fetch as undiciFetch } from 'undici';
import { NothingSentError } from './errors.ts';
import { refusalBodyFrom } from './refusal-body.ts';

/**
 * baseOf splits a base URL as the SDK takes it. Azure's has a query, such as `?api-version=preview`: every
 * path goes before it.
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
 * fetchThrough returns undici's own fetch, which has the version of its agents; Node's may have another. A
 * request may name another agent.
 *
 * It says of an error whether the request had left this machine. It follows no redirect, which would make a
 * GET of a create. It puts each refusal into OpenAI's envelope: the SDK would keep nothing of another body.
 */
export function fetchThrough(agent: Agent): typeof globalThis.fetch {
  const fetch = async (url: string, { dispatcher = agent, ...init }: { dispatcher?: Dispatcher }) => {
    const sent = { isSent: false };
    try {
      const reply = await undiciFetch(url, {
        redirect: 'manual',
        ...init,
        dispatcher: watched(dispatcher, sent),
      });
      if (!reply.ok) return await enveloped(reply);
      return reply;
    } catch (error: unknown) {
      if (sent.isSent || !(error instanceof Error) || error.name === 'AbortError') throw error;
      throw new NothingSentError(error.message, { cause: error.cause ?? error });
    }
  };
  return fetch as unknown as typeof globalThis.fetch;
}

/**
 * A dispatcher that notes when a request has a connection, which is right before its first byte is written.
 */
function watched(dispatcher: Dispatcher, sent: { isSent: boolean }): Dispatcher {
  return dispatcher.compose((dispatch) => (options, handler) => {
    const onRequestStart = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      sent.isSent = true;
      onRequestStart?.(controller, context);
    };
    return dispatch(options, handler);
  });
}

async function enveloped(reply: Response): Promise<Response> {
  const body = await reply.text().catch(() => '');
  const headers = new Headers(reply.headers);
  for (const name of ['content-length', 'content-encoding']) headers.delete(name);
  const error = refusalBodyFrom(body, headers.get('content-type') ?? '');
  headers.set('content-type', 'application/json');
  return new Response(JSON.stringify({ error }), { status: reply.status, headers });
}
