import OpenAI from 'openai';
import { createSharedSlots, type SharedSlots } from '../../src/async/shared-slots.ts';
import { createTurns, type Turns } from '../../src/async/turns.ts';
import { baseOf, maskOf, type ProxyAddresses } from '../../src/config/upstream-address.ts';
import { createUpstreamAgent } from '../../src/config/upstream-agent.ts';
import { isFailure } from '../../src/errors/failure.ts';
import { parsed } from '../../src/errors/refusal-body.ts';
import { stringifyExact } from '../../src/job/exact-json.ts';
import { namesAccount, type UpstreamHeaders } from '../../src/job/fields/upstream-headers.ts';
import { type UpstreamResponse, upstreamResponseFrom } from '../../src/responses/response.ts';
import { eventOf } from './bought.ts';
import { type ListedModel, listedFrom } from './capabilities.ts';
import { type CreateCall, createCreateCall, type Patience, type Send } from './create.ts';
import { createEndingCalls } from './ending.ts';
import { judged, refusalInAnswer, sdkErrorIn } from './errors.ts';
import { connected, createYieldWhenBusy, withConnection } from './event-stream.ts';
import type { Reply } from './http/exchange.ts';
import {
  advertisedLimitsOf,
  type FetchOptions,
  fetchThrough,
  isSimulated,
  pollAfterMsOf,
  textOf,
} from './http/fetch.ts';
import { bodyOf } from './http/server-sent-events.ts';
import type { StreamEvent } from './running-response.ts';
import { streamEvents } from './stream-events.ts';

/** Upstream is the client of OpenAI, or of another server that offers OpenAI's Responses API. */
export interface Upstream {
  /** Returns this client with headers for every call about a response. */
  withHeaders(headers: UpstreamHeaders): Upstream;
  /** Sends a create request, which buys a response. */
  create: CreateCall;
  /**
   * @param onPollAfter called with the pause before the next lookup for which the answer asks, if it does.
   * @throws {Failure} `not_found` when the upstream does not have the response, or no longer has it.
   */
  retrieve(id: string, signal: AbortSignal, onPollAfter?: (ms: number) => void): Promise<UpstreamResponse>;
  /** Streams the events after the one with the sequence number `after`. @throws {Failure} */
  resume(id: string, after: number | undefined, signal: AbortSignal): Promise<AsyncGenerator<StreamEvent>>;
  /**
   * Tries to cancel a response. @returns the response as the upstream left it; null: the upstream did not
   * say.
   */
  cancel(id: string): Promise<UpstreamResponse | null>;
  /**
   * Deletes what the upstream stores of a response.
   * @returns false when the upstream has nothing to delete.
   * @throws {Failure} when a later try may succeed.
   */
  delete(id: string): Promise<boolean>;
  /**
   * Lists the upstream's models; undefined: it has no such list.
   * @throws {Failure} when a later try may succeed.
   */
  listModels(signal: AbortSignal): Promise<ListedModel[] | undefined>;
  /** The URL of the upstream. */
  readonly address: string;
  /** Whether the latest successful reply came from our simulator. */
  isSimulated(): boolean;
  /** How long after its signal has aborted a create may still return its id, in milliseconds. */
  readonly graceMs: number;
  /** How long lookups may be answered with 404 before the response counts as lost, in milliseconds. */
  readonly lostMs: number;
  /** Limits how many create requests are under way in this process. Each takes one slot. */
  readonly slots: SharedSlots;
  /** Limits how often this process looks responses up. Each lookup takes one turn. */
  readonly lookups: Turns;
  /** The same for responses within a completion window, which may wait longer. */
  readonly windowedLookups: Turns;
  close(): Promise<void>;
}

/** KeyedUpstream is the client of a worker. Its key may change. */
export interface KeyedUpstream extends Upstream {
  /** Sends this key with every request from now on. The earlier keys are still removed from what is read. */
  useKey(apiKey: string): void;
}

export interface UpstreamOptions {
  apiKey: string | undefined;
  /** undefined: OpenAI. */
  baseUrl: string | undefined;
  /** The proxies on the way to it. Default: none. */
  proxy?: ProxyAddresses;
  patience?: Partial<Patience>;
  /** The largest answer, in bytes. Default 64 MiB. */
  largestAnswerBytes?: number;
  /**
   * How many creates may be under way at once. If the process is killed, all of them are uncertain. Default
   * 8.
   */
  createsAtOnce?: number;
  /** The models that share these creates. Default: one model. */
  models?: readonly string[];
  /** See WorkerOptions. Responses within a window are looked up as many times more often. Default 1. */
  windowScale?: number;
}

const DEFAULT_PATIENCE: Patience = {
  answerMs: 60_000,
  silenceMs: 90_000,
  graceMs: 3000,
  slotMs: 2000,
  lostMs: 60_000,
};
/**
 * How long streams may be read without a pause, in milliseconds. With less, a third of the throughput is lost
 * under load. With more, timers are late.
 */
const BUSY_MS = 100;
/** A lookup takes up to a millisecond. An end allows four more, so ends of a fifth pay for looks at all. */
const LOOKUPS = { uselessPerSecond: 200, moreAfterUseful: 4, atOnce: 128 };
/** 2,000 responses are then looked up every 250 s, under the 300 s for which an answer is kept anywhere. */
const WINDOWED_LOOKUPS = { uselessPerSecond: 8, moreAfterUseful: 4, atOnce: 128 };
/**
 * The largest answer, in bytes. An answer is one value in Redis, and is read as one text. Models write about
 * 1 MB at most.
 */
const LARGEST_ANSWER_BYTES = 64 * 1024 ** 2;
/**
 * How many create requests may be under way. When the process is killed, all of them are uncertain. Without a
 * limit that could be hundreds: a burst of jobs would send all its creates together, and each would take as
 * long as all of them. OpenAI answers a create within some tenths of a second, so eight at once are already
 * more than its rate limits usually allow.
 */
const CREATES_AT_ONCE = 8;
/** Node's longest timer, in milliseconds. */
const NO_LIMIT_MS = 2_147_483_647;

export function createUpstream({ apiKey, baseUrl, ...options }: UpstreamOptions): KeyedUpstream {
  const patience = { ...DEFAULT_PATIENCE, ...options.patience };
  // By default undici, and so Node's fetch, ends every request whose headers take longer than 300 s, whatever
  // the SDK's timeout says, and the SDK would then buy again:
  // https://github.com/openai/openai-node/issues/2153. This agent has no time limits, because the attempt sets
  // them.
  const agent = createUpstreamAgent(options.proxy, { headersTimeout: 0, bodyTimeout: 0 });
  const masks = [maskOf(apiKey)];
  const reading = {
    largestBytes: options.largestAnswerBytes ?? LARGEST_ANSWER_BYTES,
    masked: (text: string) => masks.reduce((masked, mask) => mask(masked), text),
  };
  const client = new OpenAI({
    apiKey: apiKey ?? 'none',
    ...baseOf(baseUrl),
    // The SDK does not retry lookups either: it would sleep for any Retry-After, and no signal would wake it.
    maxRetries: 0,
    // The SDK's own log is off. It would print what the upstream sent, and only our logger removes secrets.
    logLevel: 'off',
    fetch: fetchThrough(agent, reading),
  });

  const yieldWhenBusy = createYieldWhenBusy(BUSY_MS);
  let simulated = false;
  const note = (reply: Response): boolean => {
    simulated = isSimulated(reply);
    return simulated;
  };
  const send: Send = async (parameters, { connection, signal, answerMs, headers, wire }) => {
    const fetchOptions: FetchOptions = { wire };
    const reply = await client.responses
      .create(parameters as OpenAI.Responses.ResponseCreateParams, {
        // The body is written here, because the SDK would round large numbers.
        body: stringifyExact(parameters),
        headers: { ...headers, 'content-type': 'application/json' },
        signal: connection.signal,
        timeout: Math.min(answerMs ?? NO_LIMIT_MS, NO_LIMIT_MS),
        fetchOptions: fetchOptions as object,
      })
      .asResponse();
    const said = { limits: advertisedLimitsOf(reply.headers), simulated: note(reply) };
    const body = await bodyOf(asReply(reply), connection.signal, reading);
    if (body.kind === 'json') {
      const contentType = reply.headers.get('content-type') ?? '';
      return { kind: 'body', ...said, body: body.text, contentType };
    }
    const events = streamEvents(body.messages, sdkErrorIn(reply));
    const silenceMs = answerMs === undefined ? undefined : patience.silenceMs;
    return {
      kind: 'events',
      ...said,
      events: connected(events, { connection, signal, silenceMs, firstEventFirst: true, yieldWhenBusy }),
    };
  };
  const create = createCreateCall(send, patience);
  const ending = createEndingCalls(client.responses, options.proxy, (reply) =>
    textOf(asReply(reply), reading),
  );

  const slots = createSharedSlots(options.createsAtOnce ?? CREATES_AT_ONCE, options.models ?? []);
  const lookups = createTurns(LOOKUPS);
  const windowedLookups = createTurns({
    ...WINDOWED_LOOKUPS,
    uselessPerSecond: WINDOWED_LOOKUPS.uselessPerSecond * (options.windowScale ?? 1),
  });
  const withHeaders = (headers: UpstreamHeaders): Upstream => ({
    withHeaders,

    async create(body, createOptions) {
      const hasOwnAccount = namesAccount(headers);
      const running = await judged(() => create(body, { ...createOptions, headers }), {
        upstreamModel: String(body['model']),
        address: client.baseURL,
        hasOwnAccount,
      });
      // A job whose headers choose another project gets the limits of that project, which do not apply to
      // other jobs.
      return hasOwnAccount ? { ...running, limits: undefined } : running;
    },

    async retrieve(id, signal, onPollAfter) {
      return judged(() =>
        withConnection(signal, patience.answerMs, async (connection) => {
          const reply = await client.responses
            .retrieve(id, {}, { signal: connection.signal, headers })
            .asResponse();
          note(reply);
          const pollAfterMs = pollAfterMsOf(reply.headers);
          if (pollAfterMs !== undefined) onPollAfter?.(pollAfterMs);
          // The response is parsed here. The SDK would add `output_text`, a second copy of the whole answer,
          // and would throw for a response without output.
          const body = await textOf(asReply(reply), reading);
          const response = upstreamResponseFrom(parsed(body));
          if (response !== undefined) return response;
          throw (
            refusalInAnswer(body, reply.headers.get('content-type') ?? '') ??
            new SyntaxError(body.slice(0, 100))
          );
        }),
      );
    },

    async resume(id, after, signal) {
      const query = { stream: true as const, ...(after !== undefined && { starting_after: after }) };
      return judged(() =>
        withConnection(signal, patience.answerMs, async (connection) => {
          const reply = await client.responses
            .retrieve(id, query, { signal: connection.signal, headers })
            .asResponse();
          const body = await bodyOf(asReply(reply), connection.signal, reading);
          const events =
            body.kind === 'json'
              ? eventOf(JSON.parse(body.text))
              : streamEvents(body.messages, sdkErrorIn(reply), after);
          const { silenceMs } = patience;
          return connected(events, { connection, signal, silenceMs, firstEventFirst: false, yieldWhenBusy });
        }),
      );
    },

    cancel: (id) => ending.cancel(id, headers),
    delete: (id) => ending.delete(id, headers),

    async listModels(signal) {
      try {
        return await judged(() =>
          withConnection(signal, patience.answerMs, async (connection) => {
            const reply = await client.models.list({ signal: connection.signal }).asResponse();
            note(reply);
            return listedFrom(JSON.parse(await textOf(asReply(reply), reading)));
          }),
        );
      } catch (error: unknown) {
        // Many servers have no list of models.
        if (isFailure(error) && isForGood(error.refusal?.status)) return undefined;
        throw error;
      }
    },

    address: client.baseURL,
    isSimulated: () => simulated,
    graceMs: patience.graceMs,
    lostMs: patience.lostMs,
    slots,
    lookups,
    windowedLookups,

    async close() {
      await Promise.all([agent.destroy(), ending.close()]);
    },
  });
  return Object.assign(withHeaders({}), {
    useKey(key: string) {
      masks.push(maskOf(key));
      client.apiKey = key;
    },
  });
}

/** Whether this status means that the server has no list of models. */
function isForGood(status: number | undefined): boolean {
  return status !== undefined && status < 500 && status !== 408 && status !== 429;
}

/** The SDK returns what `fetchThrough` has returned. */
function asReply(reply: Response): Reply {
  return reply as unknown as Reply;
}
