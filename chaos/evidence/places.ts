import { Cluster, type Redis } from 'ioredis';
import { connectRedis } from '../../src/redis/connection.ts';
import { inParallel } from '../fleet/timing.ts';

/** Places are the places of one job in Redis: by the name of a key, what that key has for the job. */
export type Places = Record<string, unknown>;

const LOOKS_AT_ONCE = 20;

/**
 * placesOf finds each place of the jobs in Redis: their own keys, and their entries in all others. It reads
 * every key, which only a Redis of a scenario is small enough for.
 * @param ids the jobs' ids, with the name of their model before a colon.
 */
export async function placesOf(redisUrl: string, ids: readonly string[]): Promise<Map<string, Places>> {
  const redis = connectRedis(redisUrl, 'patient', { onError: () => {} });
  const places = new Map<string, Places>(ids.map((id) => [id, {}]));
  try {
    for (const server of redis instanceof Cluster ? redis.nodes('master') : [redis as Redis]) {
      await inParallel(await server.keys('*'), LOOKS_AT_ONCE, async (key) => {
        const type = await server.type(key);
        for (const [quotaId, found] of places) {
          const id = quotaId.slice(quotaId.indexOf(':') + 1);
          const has = key.includes(id)
            ? await contentOf(server, key, type)
            : ((await entryOf(server, key, type, id)) ?? (await entryOf(server, key, type, quotaId)));
          if (has !== null) found[key] = has;
        }
      });
    }
    return places;
  } finally {
    redis.disconnect();
  }
}

async function contentOf(server: Redis, key: string, type: string): Promise<unknown> {
  switch (type) {
    case 'string':
      return server.get(key);
    case 'hash':
      return server.hgetall(key);
    case 'zset':
      return server.zrange(key, '0', '-1', 'WITHSCORES');
    default:
      return type;
  }
}

async function entryOf(server: Redis, key: string, type: string, id: string): Promise<unknown> {
  switch (type) {
    case 'hash':
      return server.hget(key, id);
    case 'zset':
      return server.zscore(key, id);
    case 'list':
      return server.lpos(key, id);
    case 'set':
      return (await server.sismember(key, id)) === 1 ? 'in the set' : null;
    default:
      return null;
  }
}
