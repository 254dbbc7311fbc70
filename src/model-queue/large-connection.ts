import { connectRedis, type RedisClient } from '../redis/connection.ts';
import { createRedisGuard } from '../redis/guard.ts';

/** LARGE_BYTES is the length of data from which on it is written on a connection of its own. */
export const LARGE_BYTES = 1024 ** 2;

/** How long Redis may take to read 50 MB and to answer, in milliseconds. A line of 10 Mbit/s takes 40 s. */
const ANSWER_MS = 60_000;

/**
 * LargeConnection is a connection for large writes. On the connection of all other commands they would wait
 * until Redis has read all of a large one, and would be given up.
 */
export interface LargeConnection {
  /** use runs work on the connection, which the first call makes. */
  use<Output>(work: (redis: RedisClient) => Promise<Output>): Promise<Output>;
  close(): void;
}

export function createLargeConnection(
  url: string,
  options: { onError: (error: Error) => void; name: string },
): LargeConnection {
  let made: { redis: RedisClient; guard: ReturnType<typeof createRedisGuard> } | undefined;
  return {
    use(work) {
      if (made === undefined) {
        const redis = connectRedis(url, 'fail-fast', { ...options, answerMs: ANSWER_MS });
        made = { redis, guard: createRedisGuard(redis, url) };
      }
      const { redis, guard } = made;
      return guard(() => work(redis));
    },
    close: () => made?.redis.disconnect(),
  };
}
