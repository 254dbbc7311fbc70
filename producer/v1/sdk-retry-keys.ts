import { createHash } from 'node:crypto';
import { stringifyExact } from '../../src/job/exact-json.ts';
import type { TenantStorage } from '../../src/queue/tenant-queue.ts';

/**
 * SdkRetryKeys remembers requests whose answer has not reached their caller yet. OpenAI's SDKs send a request
 * again when its connection breaks or takes too long, and without an idempotency key: the second request must
 * find the job of the first.
 *
 * The keys are kept under a hash of the tenant and the body, as a sorted set of idempotency keys by time. A
 * key is stored before its job is enqueued. A crash in between leaves a key without a job, and the retry that
 * finds the key enqueues the job. Two callers of one tenant that send the same request at the same time may
 * get each other's answers after a broken connection: they are answers to the same question.
 */
export interface SdkRetryKeys {
  remember(body: unknown, idempotencyKey: string): Promise<void>;
  /**
   * Returns the oldest key and stores it again with the current time, so that two retries get two different
   * keys; undefined: there is no key.
   */
  find(body: unknown): Promise<string | undefined>;
  /** Removes a key: its answer has reached the caller. */
  clear(body: unknown, idempotencyKey: string): Promise<void>;
}

/** In seconds: longer than any SDK retries. */
const KEPT_S = 24 * 3600;

export function createSdkRetryKeys({ redis, prefix, guard, tenant }: TenantStorage): SdkRetryKeys {
  // An SDK sends the same bytes again, so the order of the fields is the same too.
  const keyOf = (body: unknown): string => {
    const hash = createHash('sha256')
      .update(`${tenant}\0${stringifyExact(body)}`)
      .digest('hex');
    return `${prefix}:sdk-retry:{${hash}}`;
  };
  const add = async (key: string, idempotencyKey: string): Promise<void> => {
    await Promise.all([redis.zadd(key, Date.now(), idempotencyKey), redis.expire(key, KEPT_S)]);
  };
  return {
    remember: (body, idempotencyKey) => guard(() => add(keyOf(body), idempotencyKey)),
    find: (body) =>
      guard(async () => {
        const key = keyOf(body);
        const [oldest] = await redis.zrange(key, '0', '0');
        if (oldest !== undefined) await add(key, oldest);
        return oldest;
      }),
    clear: (body, idempotencyKey) =>
      guard(async () => {
        await redis.zrem(keyOf(body), idempotencyKey);
      }),
  };
}
