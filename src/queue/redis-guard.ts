import type { Cluster, Redis } from 'ioredis';
import { QueueError } from '../problem.ts';

/** How long the very first use may wait for the connection to stand, in milliseconds. */
const FIRST_CONNECTION_MS = 2000;

export type RedisGuard = <Output>(work: () => Promise<Output>) => Promise<Output>;

/**
 * Runs Redis work so that it fails at once, and in one way, while Redis is away. A queue that was only just made may
 * wait for its first connection; after that nobody hangs.
 */
export function createRedisGuard(redis: Redis | Cluster): RedisGuard {
  let first: Promise<void> | undefined = new Promise((resolve) => {
    const timer = setTimeout(resolve, FIRST_CONNECTION_MS);
    timer.unref();
    redis.once('ready', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return async (work) => {
    if (first !== undefined && redis.status !== 'ready') await first;
    first = undefined;
    if (redis.status !== 'ready') throw unavailable(`the connection is ${redis.status}`);
    try {
      return await work();
    } catch (error: unknown) {
      if (isUnavailable(error))
        throw unavailable(error instanceof Error ? error.message : String(error), error);
      throw error;
    }
  };
}

function unavailable(cause: string, error?: unknown): QueueError {
  return new QueueError(
    'redis_unavailable',
    `Redis cannot be used right now (${cause}). Nothing is lost; try again in a moment`,
    {
      cause: error,
    },
  );
}

/** Lost connections as ioredis words them, and the refusals of a server that is loading, full, failing over or stopping. */
const UNAVAILABLE =
  /^(Connection is closed|Command timed out|Stream isn't writeable|Reached the max retries|None of startup nodes|Cluster isn't ready|(LOADING|OOM|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|NOREPLICAS) )|ECONN|EPIPE|Failed to refresh slots/;

function isUnavailable(error: unknown): boolean {
  return (
    error instanceof Error && (UNAVAILABLE.test(error.message) || error.name === 'MaxRetriesPerRequestError')
  );
}
