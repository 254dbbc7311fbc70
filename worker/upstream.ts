import OpenAI from 'openai';
import { Stream } from 'openai/streaming';
import { Agent, fetch as undiciFetch } from 'undici';
import { RetryableError } from '../src/failure.ts';
import { isUpstreamResponse, type UpstreamResponse } from '../src/response.ts';
import { failureFromSdk, refusesBackground } from './refusal.ts';

/** One event of a response's stream; only what is read here is typed. */
export interface StreamEvent {
  type: string;
  sequence_number?: number;
  response?: UpstreamResponse;
  delta?: unknown;
  code?: string | null;
  message?: string;
}

/** A response that has been bought. */
export interface RunningResponse {
  response: UpstreamResponse;
  /** The upstream keeps it running without us, and it can be looked up by its id. */
  background: boolean;
  /** It was created with a stream, so that it can be streamed again. */
  streamed: boolean;
  /** Its events from the second on; undefined: it is to be polled, or finished already. */
  events?: AsyncIterable<StreamEvent>;
}

export interface CreateOptions {
  /** Follow by events rather than by polling, where the server can. */
  stream: boolean;
  /** The longest that the whole attempt may take, in milliseconds. */
  timeoutMs: number;
  /** Ends the connection. In background mode only after a grace: the id that is on its way costs money. */
  signal: AbortSignal;
}

export interface Upstream {
  /** Buys a response. @throws {Failure} */
  create(body: Record<string, unknown>, options: CreateOptions): Promise<RunningResponse>;
  /** @throws {Failure} `not_found` when the upstream does not have it (any more). */
  retrieve(id: string, signal: AbortSignal): Promise<UpstreamResponse>;
  /** The events after the one with the sequence number `after`. @throws {Failure} */
  resume(id: string, after: number | undefined, signal: AbortSignal): Promise<AsyncIterable<StreamEvent>>;
  /** Stops the spend; best effort. The response as the upstream left it, or null. */
  cancel(id: string): Promise<UpstreamResponse | null>;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  apiKey: string | undefined;
  /** undefined: OpenAI. */
  baseUrl: string | undefined;
}

/** A background request is answered at once; this only guards against a server that hangs. */
const ANSWER_MS = 60_000;
const CANCEL_MS = 10_000;
/** How long a create may still bring home its id after a cancel or a shutdown. */
const GRACE_MS = 3000;
/** A server without background mode is asked again after this long: it may have been upgraded. */
const FOREGROUND_FOR_MS = 600_000;

export function createUpstream({ apiKey, baseUrl }: UpstreamOptions): Upstream {
  // Node's own fetch ends every request whose headers take longer than 300 s, whatever the SDK's timeout says, and the
  // SDK would then buy again: https://github.com/openai/openai-node/issues/2153. Time limits are the attempt's, not the agent's.
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const client = new OpenAI({
    apiKey: apiKey ?? 'none',
    ...(baseUrl !== undefined && { baseURL: baseUrl }),
    maxRetries: 0,
    fetch: fetchThrough(agent),
  });
  let foregroundUntil = 0;

  const post = async (
    body: Record<string, unknown>,
    options: { background: boolean; stream: boolean; timeoutMs: number; signal: AbortSignal },
  ): Promise<RunningResponse> => {
    const { background, stream, timeoutMs, signal } = options;
    const connection = new AbortController();
    const end = (): void => connection.abort();
    const endLater = (): void => void setTimeout(end, background ? GRACE_MS : 0).unref();
    if (signal.aborted) endLater();
    signal.addEventListener('abort', endLater, { once: true });
    const params = { ...body, stream, ...(background && { background, store: body['store'] ?? true }) };
    const reply = await client.responses
      .create(params as OpenAI.Responses.ResponseCreateParams, {
        signal: connection.signal,
        timeout: timeoutMs,
      })
      .asResponse();
    if (!isEventStream(reply)) return finishedOrQueued(await reply.json(), stream);
    const events = iterate(Stream.fromSSEResponse<StreamEvent>(reply, connection));
    const first = await events.next();
    // From here on the id is known: nothing is gained by waiting any longer.
    signal.removeEventListener('abort', endLater);
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    if (first.done)
      throw new RetryableError('connection_lost', 'The upstream ended the stream before its first event');
    const { response } = first.value;
    if (!isUpstreamResponse(response)) throw failureOfFirstEvent(first.value);
    return { response, background: response.background === true, streamed: true, events };
  };

  return {
    async create(body, { stream, timeoutMs, signal }) {
      try {
        if (Date.now() >= foregroundUntil) {
          try {
            const running = await post(body, {
              background: true,
              stream,
              timeoutMs: Math.min(timeoutMs, ANSWER_MS),
              signal,
            });
            if (!running.background) foregroundUntil = Date.now() + FOREGROUND_FOR_MS;
            return running;
          } catch (error: unknown) {
            if (!refusesBackground(error)) throw error;
            foregroundUntil = Date.now() + FOREGROUND_FOR_MS;
          }
        }
        // Streamed whatever was asked for: a connection that is silent for minutes is cut by somebody on the way.
        return await post(body, { background: false, stream: true, timeoutMs, signal });
      } catch (error: unknown) {
        throw failureFromSdk(error) ?? error;
      }
    },

    async retrieve(id, signal) {
      try {
        const response: unknown = await client.responses.retrieve(
          id,
          {},
          { signal, timeout: ANSWER_MS, maxRetries: 2 },
        );
        return response as UpstreamResponse;
      } catch (error: unknown) {
        throw failureFromSdk(error) ?? error;
      }
    },

    async resume(id, after, signal) {
      try {
        const query = { stream: true as const, ...(after !== undefined && { starting_after: after }) };
        const stream = await client.responses.retrieve(id, query, { signal, timeout: ANSWER_MS });
        return stream as unknown as AsyncIterable<StreamEvent>;
      } catch (error: unknown) {
        throw failureFromSdk(error) ?? error;
      }
    },

    async cancel(id) {
      try {
        const response: unknown = await client.responses.cancel(id, { timeout: CANCEL_MS, maxRetries: 2 });
        return response as UpstreamResponse;
      } catch {
        // Finished meanwhile, forgotten, or out of reach: whichever it is, the job is cancelled here.
        return null;
      }
    },

    close: () => agent.destroy(),
  };
}

/** undici's own fetch, so that it and its agent are of one version whatever Node brings along. */
function fetchThrough(agent: Agent): typeof globalThis.fetch {
  const fetch = (url: string, init: object) => undiciFetch(url, { ...init, dispatcher: agent });
  return fetch as unknown as typeof globalThis.fetch;
}

function isEventStream(reply: Response): boolean {
  return reply.headers.get('content-type')?.includes('text/event-stream') ?? false;
}

/** Some servers answer JSON although a stream was asked for. */
function finishedOrQueued(body: unknown, streamed: boolean): RunningResponse {
  if (!isUpstreamResponse(body)) {
    throw new RetryableError(
      'upstream_error',
      'The upstream answered without a response object: is the base URL that of a Responses API?',
    );
  }
  return {
    response: body,
    background: body.background === true,
    streamed: streamed && body.background === true,
  };
}

function failureOfFirstEvent({ type, code, message }: StreamEvent): Error {
  return new RetryableError(
    'upstream_error',
    `The stream began with ${type} instead of a response: ${code ?? ''} ${message ?? ''}`,
  );
}

/** An iterator that can be read once here and then on by somebody else. */
async function* iterate(events: AsyncIterable<StreamEvent>): AsyncGenerator<StreamEvent> {
  yield* events;
}
