import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import { QueueError } from '../errors/problem.ts';
import { isRedisAway, isRedisRefusal } from './refusal.ts';
import { maskRedisUrl } from './url.ts';

/** How long the very first use may wait for the connection, in milliseconds. */
const FIRST_CONNECTION_MS = 2000;

/** How often a silent Redis is pinged, in milliseconds. */
const ASK_AGAIN_MS = 100;

/** RedisGuard runs work on Redis, and fails it while Redis is away. */
export type RedisGuard = <Output>(work: () => Promise<Output>) => Promise<Output>;

/**
 * createRedisGuard makes work on Redis fail at once while Redis is away, always with a QueueError
 * `redis_unavailable`. The first use may wait for the connection; no later use waits. When one command gets
 * no answer in time, further work fails within milliseconds until Redis answers a ping.
 */
export function createRedisGuard(redis: Redis | Cluster, url: string): RedisGuard {
  // After the first connection, messages no longer contain the address: callers over HTTP should not see it.
  let where = redis.status === 'ready' ? '' : ` at ${maskRedisUrl(url)}`;
  redis.once('ready', () => {
    where = '';
  });
  let first: Promise<void> | undefined = new Promise((resolve) => {
    const timer = setTimeout(resolve, FIRST_CONNECTION_MS);
    timer.unref();
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  /** True after a command was not answered in time, until a ping is answered. */
  let isSilent = false;
  const untilAnswer = async (): Promise<void> => {
    isSilent = true;
    while (redis.status !== 'end') {
      const [answer] = await Promise.all([
        redis.ping().catch(() => undefined),
        sleep(ASK_AGAIN_MS, undefined, { ref: false }),
      ]);
      if (answer !== undefined) break;
    }
    isSilent = false;
  };
  return async (work) => {
    if (first !== undefined && redis.status !== 'ready') await first;
    first = undefined;
    if (redis.status !== 'ready') {
      throw new QueueError(
        'redis_unavailable',
        `Redis${where} is not available (the connection is ${redis.status}). ` +
          'Nothing was changed; try again in a moment',
      );
    }
    if (isSilent) {
      throw new QueueError(
        'redis_unavailable',
        `Redis${where} does not answer. Nothing was changed; try again in a moment`,
      );
    }
    try {
      return await work();
    } catch (error: unknown) {
      if (!isRedisAway(error)) throw error;
      if (error.message === 'Command timed out' && !isSilent) void untilAnswer();
      // The command may still be carried out, by a Redis that was only slow. A refused command changed
      // nothing, but earlier commands of the same request may have.
      const what = isRedisRefusal(error) ? 'Redis refuses to work now' : 'The connection to Redis broke';
      throw new QueueError(
        'redis_unavailable',
        `${what} (${error.message}). The request may have been carried out; check before you send it again`,
        { cause: error },
      );
    }
  };
}
