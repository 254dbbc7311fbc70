import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/connection.ts';
import type { RedisGuard } from '../redis/guard.ts';

/**
 * Requests whose answer has not reached their caller yet, by what was asked: OpenAI's SDKs send a request again when its connection breaks or takes too
 * long, and the second one is to find what the first has begun. Kept under the hash of caller and body, as a sorted set of idempotency keys by time.
 *
 * A key is noted before its job is enqueued, so that a crash in between leaves a key without a job: who takes that one enqueues it. Two callers who
 * ask the same at the same time may be given each other's answers after a broken connection, which are answers to the same question.
 */
export interface SdkRetryKeys {
  note(body: unknown, idempotencyKey: string): Promise<void>;
  /** The one that has waited longest; it counts as noted just now. */
  take(body: unknown): Promise<string | undefined>;
  deliver(body: unknown, idempotencyKey: string): Promise<void>;
}

export interface SdkRetryKeysOptions {
  redis: RedisClient;
  prefix: string;
  guard: RedisGuard;
  /** undefined: nobody. */
  tenant: string | undefined;
}

/** Longer than an SDK goes on trying. */
const KEPT_S = 24 * 3600;

export function createSdkRetryKeys({ redis, prefix, guard, tenant = '' }: SdkRetryKeysOptions): SdkRetryKeys {
  // An SDK sends the same bytes again, so that the order of the fields is the same too.
  const keyOf = (body: unknown): string => {
    const hash = createHash('sha256')
      .update(`${tenant}\0${JSON.stringify(body)}`)
      .digest('hex');
    return `${prefix}:undelivered:{${hash}}`;
  };
  const note = async (key: string, idempotencyKey: string): Promise<void> => {
    await Promise.all([redis.zadd(key, Date.now(), idempotencyKey), redis.expire(key, KEPT_S)]);
  };
  return {
    note: (body, idempotencyKey) => guard(() => note(keyOf(body), idempotencyKey)),
    take: (body) =>
      guard(async () => {
        const key = keyOf(body);
        const [oldest] = await redis.zrange(key, '0', '0');
        if (oldest !== undefined) await note(key, oldest);
        return oldest;
      }),
    deliver: (body, idempotencyKey) =>
      guard(async () => {
        await redis.zrem(keyOf(body), idempotencyKey);
      }),
  };
}
