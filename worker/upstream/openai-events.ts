import type { RedisClient } from '../../src/redis/connection.ts';
import { webhookKeysOf } from '../../src/redis/keys.ts';
import { endedSince } from '../../src/webhooks/openai-events.ts';

/** OpenAiEvents tells which responses have ended, by OpenAI's webhooks. */
export interface OpenAiEvents {
  /**
   * Calls `wake` each time a webhook says that this response has ended. Returns how to stop listening.
   * Earlier webhooks are not repeated: look the response up once after this call.
   */
  watch(responseId: string, wake: () => void): () => void;
  /**
   * Yields the ids of responses that have ended since a time (ms): first those that are remembered, then each
   * as it comes, until the signal aborts. Each id comes once. Some may have ended shortly before that time,
   * because clocks differ.
   */
  ended(sinceMs: number, signal: AbortSignal): AsyncGenerator<string>;
}

/** The clocks of producers and workers may differ by this much before an end is missed. */
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
    // ioredis subscribes again by itself after a reconnect, but says `ready` before the server has: on
    // another connection we would look too early. A second time costs nothing, and its answer comes after the
    // first one's.
    await subscriber.subscribe(keys.channel);
    if (watchers.size > 0) {
      // At worst a response that ended long ago is looked up once more.
      for (const id of await endedSince(redis, keys, 0)) wakeWatchers(id);
    }
    await Promise.all([...readers].map(recall));
  };
  subscriber.on('ready', () => void catchUp().catch(onError));
  if (subscriber.status === 'ready') void catchUp().catch(onError);

  return {
    watch(responseId, wake) {
      // A function of its own, so that a caller can register one function twice and remove it once.
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
      // Registered before the remembered events are read, so that no event in between is missed.
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
