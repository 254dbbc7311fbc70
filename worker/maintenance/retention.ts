import type { Models } from '../../src/config/file.ts';
import { limitsOf, storageLimitsOf } from '../../src/job-store/tenant-limits.ts';
import { deleteExpiredJobs } from '../../src/lua/storage/retention.ts';
import { dropRemovedJobs } from '../../src/lua/storage/tenant-use.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import { createMemoryLook } from '../../src/model-queue/redis-memory.ts';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { serverTime } from '../../src/redis/server-time.ts';
import { type DeliveryQueue, deleteOldDeliveries } from '../../src/webhooks/deliveries.ts';

const HOUR_MS = 3_600_000;
/**
 * The most jobs that one script deletes or looks at. Redis does nothing else meanwhile: two hundred jobs take
 * a few milliseconds.
 */
const AT_ONCE = 200;

const SWEEP_EVERY_MS = 600_000;

export interface RetentionOptions {
  redis: RedisClient;
  queues: readonly ModelQueue[];
  /** They may change: each sweep reads them. */
  settings: Pick<Models, 'retention' | 'tenants'>;
  /** undefined: this worker delivers no webhooks. */
  deliveries: DeliveryQueue | undefined;
  logger: Logger;
  onError: (error: Error) => void;
}

/**
 * keepRetention deletes jobs and deliveries whose retention is over, and stops counting jobs that were
 * removed without our scripts. It does so at once and every ten minutes until `stop`. All workers do it.
 */
export function keepRetention(options: RetentionOptions): { stop(): void } {
  const { redis, queues, settings, deliveries, logger, onError } = options;
  const sweepAll = (): void => {
    const { retention, tenants } = settings;
    if (deliveries !== undefined)
      deleteOldDeliveries(deliveries, retention.failedHours * HOUR_MS).catch(onError);
    for (const queue of queues) {
      sweepRetention(redis, queue, retention).then((jobs) => {
        if (jobs > 0) logger.info({ model: queue.model, jobs }, 'deleted: their retention is over');
      }, onError);
      dropRemoved(redis, queue, tenants).catch(onError);
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
  retention: Models['retention'],
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
  const endedBefore = serverTime(redis) - ageMs;
  let deleted = 0;
  for (;;) {
    const [found, ...bound] = (await deleteExpiredJobs.run(redis, {
      keys: { ...keys.scriptKeys, ended: keys.queue(state) },
      args: {
        endedBefore,
        most: AT_ONCE,
        jobPrefix: keys.job(''),
        runPrefix: keys.run(''),
        responsePrefix: keys.response(''),
        eventLogPrefix: keys.eventLog(''),
        tenantIndexPrefix: keys.tenantIndex(''),
      },
    })) as [number, ...string[]];
    const removed = await Promise.all(bound.map((id) => bullmq.remove(id, { removeChildren: false })));
    const kept = removed.filter((count) => count === 0).length;
    deleted += found - kept;
    if (found < AT_ONCE || kept > 0) return deleted;
  }
}

/**
 * dropRemoved stops counting jobs of limited tenants that a BullMQ client or Bull Board has removed. It leaves
 * tenants alone that the configuration does not limit, until they have used half of what they have by default.
 */
export async function dropRemoved(
  redis: RedisClient,
  { keys }: ModelQueue,
  tenants: Models['tenants'],
): Promise<void> {
  const memory = createMemoryLook(redis);
  for (const tenant of await redis.smembers(keys.tenants)) {
    const limits = await storageLimitsOf({ tenants }, tenant, memory);
    if (limits === undefined) continue;
    if (limitsOf({ tenants }, tenant) === undefined) {
      const bytes = Number((await redis.hget(keys.tenantStored(tenant), '')) ?? 0);
      if (bytes < (limits.maxBytes ?? 0) / 2) continue;
    }
    let cursor = '0';
    do {
      const [next, flat] = await redis.hscan(keys.tenantStored(tenant), cursor, 'COUNT', AT_ONCE);
      const ids = flat.filter((_, i) => i % 2 === 0);
      if (ids.length > 0) {
        await dropRemovedJobs.run(redis, {
          keys: keys.scriptKeys,
          args: { tenant, jobPrefix: keys.job('') },
          rest: ids,
        });
      }
      cursor = next;
    } while (cursor !== '0');
  }
}
