import { rememberOpenAiEvent } from '../lua/webhooks.ts';
import type { RedisClient } from '../redis/connection.ts';
import { serverTime } from '../redis/server-time.ts';

/**
 * WebhookKeys name what producers store about OpenAI's webhooks for the workers of all models. They have a
 * slot of their own.
 */
export interface WebhookKeys {
  /** ended is a sorted set of `<webhook id> <response id>` by arrival time. It covers the last hour. */
  readonly ended: string;
  /** channel announces that a response has ended; the message is the response's id. */
  readonly channel: string;
}

/** webhookKeysOf names the keys under `prefix` (`O3Q_PREFIX`). */
export function webhookKeysOf(prefix: string): WebhookKeys {
  return { ended: `${prefix}:{webhooks}:ended`, channel: `${prefix}:{webhooks}` };
}

/**
 * How long an event is kept, in milliseconds. A worker reads the events of the last minute to find a response
 * whose id it never got.
 */
const KEPT_MS = 3_600_000;
/** The most events that are kept: about a megabyte. */
const MOST_KEPT = 10_000;

/**
 * receiveWebhook stores that a response has ended and tells the workers. @returns false for a webhook that
 * was received before.
 */
export async function receiveWebhook(
  redis: RedisClient,
  keys: WebhookKeys,
  webhookId: string,
  responseId: string,
): Promise<boolean> {
  const nowMs = serverTime(redis);
  const reply = await rememberOpenAiEvent.run(redis, {
    keys: { ended: keys.ended },
    args: {
      member: `${webhookId} ${responseId}`,
      responseId,
      now: nowMs,
      oldest: nowMs - KEPT_MS,
      most: MOST_KEPT,
      channel: keys.channel,
    },
  });
  return reply === 1;
}

/**
 * endedSince returns the ids of the responses that have ended since a time (Unix milliseconds), oldest first,
 * of the last hour at most.
 */
export async function endedSince(redis: RedisClient, keys: WebhookKeys, sinceMs: number): Promise<string[]> {
  const members = await redis.zrangebyscore(keys.ended, sinceMs, '+inf');
  return members.map((member) => member.slice(member.lastIndexOf(' ') + 1));
}
