import type { Retention } from '../../src/config/file.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { indexesOf } from '../../src/redis/keys.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import { type DeliveryQueue, deleteOldDeliveries } from '../../src/webhooks/deliveries.ts';

const HOUR_MS = 3_600_000;
/**
 * The most jobs that one call of the script deletes. Redis does nothing else meanwhile: a thousand jobs take
 * a few milliseconds.
 */
const AT_ONCE = 1000;

const SWEEP_EVERY_MS = 600_000;

export interface RetentionOptions {
  redis: RedisClient;
  queues: readonly ModelQueue[];
  retention: Retention;
  /** undefined: this worker delivers no webhooks. */
  deliveries: DeliveryQueue | undefined;
  logger: Logger;
  onError: (error: Error) => void;
}

/**
 * keepRetention deletes jobs and deliveries whose retention is over, at once and every ten minutes until
 * `stop`. All workers do it.
 */
export function keepRetention(options: RetentionOptions): { stop(): void } {
  const { redis, queues, retention, deliveries, logger, onError } = options;
  const sweepAll = (): void => {
    if (deliveries !== undefined)
      deleteOldDeliveries(deliveries, retention.failedHours * HOUR_MS).catch(onError);
    for (const queue of queues) {
      sweepRetention(redis, queue, retention).then((jobs) => {
        if (jobs > 0) logger.info({ model: queue.model, jobs }, 'deleted: their retention is over');
      }, onError);
    }
  };
  sweepAll();
  const timer = setInterval(sweepAll, SWEEP_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/**
 * sweepRetention deletes the finished jobs of a model whose retention is over. Any number of workers may do
 * it at the same time. @returns how many jobs were deleted.
 */
export async function sweepRetention(
  redis: RedisClient,
  queue: ModelQueue,
  retention: Retention,
): Promise<number> {
  // When no worker delivers webhooks, no worker removes entries from the outbox.
  await redis.zremrangebyscore(
    queue.keys.outbox,
    '-inf',
    serverTime(redis) - retention.failedHours * HOUR_MS,
  );
  const completed = await sweep(redis, queue, 'completed', retention.completedHours * HOUR_MS);
  const failed = await sweep(redis, queue, 'failed', retention.failedHours * HOUR_MS);
  return completed + failed;
}

async function sweep(
  redis: RedisClient,
  { bullmq, keys }: ModelQueue,
  state: 'completed' | 'failed',
  ageMs: number,
): Promise<number> {
  let deleted = 0;
  for (;;) {
    const ids = await bullmq.clean(ageMs, AT_ONCE, state);
    if (ids.length > 0) {
      const tenants = await redis.smembers(keys.tenants);
      const indexes = [...indexesOf(keys), ...tenants.map((tenant) => keys.tenantIndex(tenant))];
      await Promise.all([
        ...ids.map((id) => redis.unlink(keys.run(id), keys.response(id), keys.eventLog(id))),
        ...indexes.map((index) => redis.zrem(index, ...ids)),
      ]);
    }
    deleted += ids.length;
    if (ids.length < AT_ONCE) return deleted;
  }
}
