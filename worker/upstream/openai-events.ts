import type { RedisClient } from '../../src/redis/connection.ts';
import type { UpstreamResponse } from '../../src/responses/response.ts';
import { endedSince, webhookKeysOf } from '../../src/webhooks/openai-events.ts';
import type { Upstream } from './client.ts';

/** OpenAiEvents reports which responses have ended, according to OpenAI's webhooks. */
export interface OpenAiEvents {
  /**
   * Calls `wake` for each webhook that announces the end of this response. Returns a function that stops
   * listening. Earlier webhooks are not repeated: look the response up once after this call.
   */
  watch(responseId: string, wake: () => void): () => void;
  /**
   * Yields the ids of responses that have ended since a time (ms): first the remembered ones, then each as it
   * comes, until the signal aborts. Each id comes once. Some may have ended shortly before that time, because
   * clocks differ.
   */
  ended(sinceMs: number, signal: AbortSignal): AsyncGenerator<string>;
}

/** How much the clocks of producers and workers may differ without an end being missed, in milliseconds. */
const CLOCK_SLACK_MS = 5000;

/** One `ended()` that is being read. */
interface Reader {
  readonly sinceMs: number;
  tell(responseId: string): void;
}

/**
 * listenForOpenAiEvents listens on a shared connection. A message that is published while the connection is
 * away is lost, so each time a subscription begins it also reads the events that Redis remembers.
 */
export function listenForOpenAiEvents(
  redis: RedisClient,
  subscriber: RedisClient,
  prefix: string,
  onError: (error: Error) => void,
): OpenAiEvents {
  const keys = webhookKeysOf(prefix);
  const watchers = new Map<string, Set<() => void>>();
  const readers = new Set<Reader>();

  const wakeWatchers = (responseId: string): void => {
    for (const wake of [...(watchers.get(responseId) ?? [])]) wake();
  };
  subscriber.on('message', (channel: string, responseId: string) => {
    if (channel !== keys.channel) return;
    wakeWatchers(responseId);
    for (const reader of readers) reader.tell(responseId);
  });

  const recall = async (reader: Reader): Promise<void> => {
    const ids = await endedSince(redis, keys, reader.sinceMs - CLOCK_SLACK_MS);
    for (const id of ids) reader.tell(id);
  };
  const catchUp = async (): Promise<void> => {
    // After a reconnect ioredis subscribes again by itself, but emits `ready` before the server has done so.
    // A read on another connection could come too early. This second subscribe costs nothing, and is answered
    // after the first.
    await subscriber.subscribe(keys.channel);
    if (watchers.size > 0) {
      // At worst a watcher looks up once more a response that ended long ago.
      for (const id of await endedSince(redis, keys, 0)) wakeWatchers(id);
    }
    await Promise.all([...readers].map(recall));
  };
  subscriber.on('ready', () => void catchUp().catch(onError));
  if (subscriber.status === 'ready') void catchUp().catch(onError);

  return {
    watch(responseId, wake) {
      // Each call stores a new function, so that a caller can register one function twice and remove it once.
      const own = (): void => wake();
      const together = watchers.get(responseId) ?? new Set();
      watchers.set(responseId, together.add(own));
      return () => {
        together.delete(own);
        if (together.size === 0 && watchers.get(responseId) === together) watchers.delete(responseId);
      };
    },

    async *ended(sinceMs, signal) {
      const seen = new Set<string>();
      const unread: string[] = [];
      let wake = (): void => {};
      const awake = (): void => wake();
      const reader: Reader = {
        sinceMs,
        tell(responseId) {
          if (seen.has(responseId)) return;
          seen.add(responseId);
          unread.push(responseId);
          wake();
        },
      };
      // The reader is registered before the remembered events are read, so that no event in between is
      // missed.
      readers.add(reader);
      signal.addEventListener('abort', awake, { once: true });
      recall(reader).catch(onError);
      try {
        while (!signal.aborted) {
          const next = unread.shift();
          if (next !== undefined) yield next;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        readers.delete(reader);
        signal.removeEventListener('abort', awake);
      }
    },
  };
}

/**
 * LostResponses finds responses that were bought and whose ids did not reach the worker. OpenAI has no list
 * of responses; its webhooks are the only way to find one.
 */
export interface LostResponses {
  /**
   * Waits for a webhook about the response whose create carried this fencing token.
   * @param options.sinceMs responses that ended before this time are skipped.
   * @param options.upstream looks responses up, with the headers of the create.
   * @returns undefined when none came before the signal aborted.
   */
  findLostResponse(fencingToken: string, options: FindOptions): Promise<UpstreamResponse | undefined>;
}

interface FindOptions {
  sinceMs: number;
  upstream: Pick<Upstream, 'retrieve'>;
  signal: AbortSignal;
}

/**
 * How many responses are remembered with their fencing tokens. Without this memory every job that searches
 * would look up each response again.
 */
const REMEMBERED = 10_000;

export function createLostResponses(openAiEvents: OpenAiEvents): LostResponses {
  /** By response id: its fencing token, or undefined when it has none. */
  const fencingTokens = new Map<string, string | undefined>();

  const look = async (
    id: string,
    { upstream, signal }: FindOptions,
  ): Promise<UpstreamResponse | undefined> => {
    try {
      const response = await upstream.retrieve(id, signal);
      remember(id, fencingTokenOf(response));
      return response;
    } catch {
      // The upstream no longer has the response, or cannot be reached. In either case it is not found.
      return undefined;
    }
  };
  const remember = (id: string, fencingToken: string | undefined): void => {
    fencingTokens.set(id, fencingToken);
    const [oldest] = fencingTokens.keys();
    if (fencingTokens.size > REMEMBERED && oldest !== undefined) fencingTokens.delete(oldest);
  };

  return {
    async findLostResponse(fencingToken, options) {
      for await (const id of openAiEvents.ended(options.sinceMs, options.signal)) {
        if (fencingTokens.has(id) && fencingTokens.get(id) !== fencingToken) continue;
        const response = await look(id, options);
        if (response !== undefined && fencingTokenOf(response) === fencingToken) return response;
      }
      return undefined;
    },
  };
}

/**
 * The key of the fencing token in the metadata of a request. The token is the only thing that o3-queue adds
 * to a caller's request, and only when webhooks are in use. No caller sees it.
 */
const FENCING_TOKEN_KEY = 'o3q_purchase';
/** The most key-value pairs that OpenAI accepts in metadata. The caller's own pairs come first. */
const MOST_PAIRS = 16;

/**
 * withFencingToken puts the fencing token into the metadata of a body. The response can be recognized by it
 * when its id is lost.
 */
export function withFencingToken(
  body: Record<string, unknown>,
  fencingToken: string,
): Record<string, unknown> {
  const metadata = body['metadata'] ?? {};
  if (typeof metadata !== 'object' || Object.keys(metadata).length >= MOST_PAIRS) return body;
  return { ...body, metadata: { ...metadata, [FENCING_TOKEN_KEY]: fencingToken } };
}

/**
 * fencingTokenOf returns the fencing token of the create that bought a response; undefined: it carried none.
 */
export function fencingTokenOf({ metadata }: UpstreamResponse): string | undefined {
  return metadata?.[FENCING_TOKEN_KEY];
}

/** withoutFencingToken returns the response as its caller would have received it. */
export function withoutFencingToken(response: UpstreamResponse): UpstreamResponse {
  const { [FENCING_TOKEN_KEY]: fencingToken, ...metadata } = response.metadata ?? {};
  return fencingToken === undefined ? response : { ...response, metadata };
}
