import { Cluster } from 'ioredis';
import { cachedRead } from '../async/cached-read.ts';
import type { RedisClient } from '../redis/connection.ts';

/**
 * MemoryUse is what Redis uses of its `maxmemory`, in bytes. In a cluster it is what the fullest master uses.
 */
export interface MemoryUse {
  used: number;
  /** 0: no limit. */
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
    const use = await readMemory(redis);
    return use.most === 0 ? undefined : use;
  };
  return cachedRead(() => look().catch(() => undefined), FRESH_MS);
}

/** readMemory asks Redis how full it is. A master without a limit counts as less full than one with a limit. */
export async function readMemory(redis: RedisClient): Promise<MemoryUse> {
  const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
  const uses = await Promise.all(nodes.map(async (node) => memoryUseIn(await node.info('memory'))));
  const share = ({ used, most }: MemoryUse): number => (most === 0 ? 0 : used / most);
  const [fullest] = uses.sort((one, other) => share(other) - share(one) || other.used - one.used);
  if (fullest === undefined) throw new Error('no master of the cluster is known yet');
  return fullest;
}

function memoryUseIn(info: string): MemoryUse {
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return { used: field('used_memory'), most: field('maxmemory') };
}
