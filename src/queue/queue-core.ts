import type { Models } from '../config-file.ts';
import { connectRedis, type RedisClient } from '../redis/connection.ts';
import { createModelQueue, type ModelQueue } from './model-queue.ts';
import { createNudges, type Nudges } from './nudges.ts';
import { createRedisGuard, type RedisGuard } from './redis-guard.ts';
import { createWaiters, type Waiters } from './waiters.ts';

export interface QueueCoreOptions {
  redisUrl: string;
  prefix: string;
  models: Models;
  onError: (error: Error) => void;
}

/** What everybody shares who uses one queue in this process: the connections, and a queue a model. */
export interface QueueCore {
  readonly prefix: string;
  readonly redis: RedisClient;
  readonly models: Models;
  readonly queues: ReadonlyMap<string, ModelQueue>;
  readonly guard: RedisGuard;
  readonly waiters: Waiters;
  readonly nudges: Nudges;
  close(): Promise<void>;
}

export function createQueueCore({ redisUrl, prefix, models, onError }: QueueCoreOptions): QueueCore {
  const redis = connectRedis(redisUrl, 'fail-fast', { onError, name: `${prefix}:queue` });
  const queues = new Map(
    Object.entries(models.models).map(([model, config]) => [
      model,
      createModelQueue(redis, prefix, model, config, onError),
    ]),
  );
  const waiters = createWaiters(() =>
    connectRedis(redisUrl, 'patient', { onError, name: `${prefix}:waiters` }),
  );
  const nudges = createNudges();
  return {
    prefix,
    redis,
    models,
    queues,
    guard: createRedisGuard(redis),
    waiters,
    nudges,
    async close() {
      nudges.close();
      waiters.close();
      await Promise.allSettled([...queues.values()].map(({ bullmq }) => bullmq.close()));
      redis.disconnect();
    },
  };
}
