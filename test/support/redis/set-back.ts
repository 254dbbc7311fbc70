import type { Redis } from 'ioredis';

/**
 * rememberRedis remembers all that a Redis holds. It returns a function that sets the Redis back to that, in one
 * step, as a failover does to a replica that was cut off. All connections stay open.
 */
export async function rememberRedis(redis: Redis): Promise<() => Promise<void>> {
  const keys = await redis.keys('*');
  const entries = await Promise.all(
    keys.map(async (key) => ({
      key,
      until: await redis.pexpiretime(key),
      dump: await redis.dumpBuffer(key),
    })),
  );
  return async () => {
    const step = redis.multi().flushall();
    for (const { key, until, dump } of entries) {
      if (until > 0) step.restore(key, until, dump, 'ABSTTL');
      else if (until === -1) step.restore(key, 0, dump);
    }
    await step.exec();
  };
}
