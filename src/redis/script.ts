import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';

/** A piece of Lua that Redis runs as one step: nothing happens between two of its lines, and no crash can fall there. */
export interface Script {
  run(
    redis: Redis | Cluster,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown>;
}

export function createScript(lua: string): Script {
  const sha = createHash('sha1').update(lua).digest('hex');
  return {
    async run(redis, keys, values) {
      try {
        return await redis.evalsha(sha, keys.length, ...keys, ...values);
      } catch (error: unknown) {
        // A Redis that has just been started, or a failover's new master, does not know the script yet.
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return redis.eval(lua, keys.length, ...keys, ...values);
      }
    },
  };
}
