import { Cluster } from 'ioredis';
import { cachedRead } from '../async/cached-read.ts';
import type { RedisClient } from '../redis/connection.ts';

/**
 * MemoryUse is what Redis uses of its `maxmemory`, in bytes. In a cluster it is what the fullest master uses.
 */
export interface MemoryUse {
  used: number;
  most: number;
}

/**
 * How long the result of one look is used for all calls, in milliseconds. In this time a tenant can store
 * some tens of MB.
 */
const FRESH_MS = 500;

/**
 * createMemoryLook returns a function that says how full Redis is; undefined: Redis has no `maxmemory`, is
 * away, or refuses INFO.
 */
export function createMemoryLook(redis: RedisClient): () => Promise<MemoryUse | undefined> {
  const look = async (): Promise<MemoryUse | undefined> => {
    const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
    const uses = await Promise.all(nodes.map(async (node) => memoryUseIn(await node.info('memory'))));
    const limited = uses.flatMap((use) => use ?? []);
    return limited.sort((one, other) => other.used / other.most - one.used / one.most)[0];
  };
  return cachedRead(() => look().catch(() => undefined), FRESH_MS);
}

function memoryUseIn(info: string): MemoryUse | undefined {
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const most = field('maxmemory');
  return most === 0 ? undefined : { used: field('used_memory'), most };
}
