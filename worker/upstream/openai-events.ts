import type { RedisClient } from '../../src/redis/connection.ts';
import { webhookKeysOf } from '../../src/redis/keys.ts';
import { endedSince } from '../../src/webhooks/openai-events.ts';

/** What OpenAI's webhooks say: which responses have ended. */
export interface OpenAiEvents {
  /**
   * Calls `wake` whenever the upstream says that this response has ended. Returns how to stop listening.
   * What was said before is not repeated: look at the response once after this.
   */
  watch(responseId: string, wake: () => void): () => void;
  /**
   * Ids of responses that have ended since a time (ms), the remembered ones, and then as they come, until the
   * signal aborts (then it just ends). Each once; a few may have ended shortly before that time, because
   * machines' clocks differ.
   */
  ended(sinceMs: number, signal: AbortSignal): AsyncGenerator<string>;
}

/** By how much the clocks of producers and workers may differ without an end being missed. */
const CLOCK_SLACK_MS = 5000;

/** One `ended()` that is being read. */
interface Reader {
  readonly sinceMs: number;
  tell(responseId: string): void;
}

/**
 * listenForOpenAiEvents listens on a connection that is shared. Messages are only the quick way: one that is
 * published while the connection is away is lost. Each time a subscription begins, the events that Redis
 * remembers are read too.
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
      // Who is still being watched and has ended long ago is looked at once too often, no more.
      for (const id of await endedSince(redis, keys, 0)) wakeWatchers(id);
    }
    await Promise.all([...readers].map(recall));
  };
  subscriber.on('ready', () => void catchUp().catch(onError));
  if (subscriber.status === 'ready') void catchUp().catch(onError);

  return {
    watch(responseId, wake) {
      // A function of its own, so that the same one can be given twice and taken back once.
      const own = (): void => wake();
      const together = watchers.get(responseId) ?? new Set();
      watchers.set(responseId, together.add(own));
      return () => {
        together.delete(own);
        if (together.size === 0 && watchers.get(responseId) === together) watchers.delete(responseId);
      };
    },

    async *ended(sinceMs, signal) {
      const passedOn = new Set<string>();
      const unread: string[] = [];
      let wake = (): void => {};
      const awake = (): void => wake();
      const reader: Reader = {
        sinceMs,
        tell(responseId) {
          if (passedOn.has(responseId)) return;
          passedOn.add(responseId);
          unread.push(responseId);
          wake();
        },
      };
      // Before the remembered events are read: an event in between then arrives at least once, and is passed
      // on once.
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
