import { type Audit, createAudit } from '../audit/audit.ts';
import type { Models } from '../config/file.ts';
import { type CompletionWaiters, createCompletionWaiters } from '../events/completion-waiters.ts';
import { createLiveJobs, type LiveJobs } from '../events/live-job.ts';
import { createLargeConnection } from '../model-queue/large-connection.ts';
import { createModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { createMemoryLook } from '../model-queue/redis-memory.ts';
import { createAcknowledger } from '../redis/ack/acknowledgement.ts';
import type { Ack } from '../redis/ack/level.ts';
import { connectRedis } from '../redis/connection.ts';
import { createRedisGuard } from '../redis/guard.ts';
import { createSubscriptions } from '../redis/subscriptions.ts';
import { createUsageStore } from '../usage/store.ts';
import { createDeliveryQueue, type DeliveryQueue } from '../webhooks/deliveries.ts';

export interface QueueCoreOptions {
  redisUrl: string;
  prefix: string;
  models: Models;
  /** Whether workers deliver webhooks. */
  webhooksOut: boolean;
  /** What Redis must have done with a new job before the call is answered. */
  ack: Ack;
  /** Called for each new job that is less safe than `ack` asks for, with the reason. */
  onWeakAck: (reason: string) => void;
  onError: (error: Error) => void;
  /** See QueueAccess. */
  onCancelled: (model: string) => void;
}

/**
 * QueueCore is what all views of one queue share in this process: the connections, and a queue for each
 * model.
 */
export interface QueueCore extends QueueAccess {
  /** The queue of webhooks to callers; undefined: no webhooks are delivered. */
  readonly deliveries: DeliveryQueue | undefined;
  readonly waiters: CompletionWaiters;
  readonly liveJobs: LiveJobs;
  /** Who has done what. */
  readonly audit: Audit;
  /** Called when an action was started, so that a runner in this process need not hear of it from Redis. */
  readonly actionStarted: { call: () => void };
  close(): Promise<void>;
}

export function createQueueCore({
  redisUrl,
  prefix,
  models,
  webhooksOut,
  ack,
  onWeakAck,
  onError,
  onCancelled,
}: QueueCoreOptions): QueueCore {
  const redis = connectRedis(redisUrl, 'fail-fast', { onError, name: `${prefix}:queue` });
  const large = createLargeConnection(redisUrl, { onError, name: `${prefix}:large` });
  const acknowledger = createAcknowledger({ redisUrl, prefix, ack, onError, onWeak: onWeakAck });
  const queues = new Map(
    Object.keys(models.models).map((model) => [
      model,
      createModelQueue(redis, prefix, model, models, onError),
    ]),
  );
  const deliveries = webhooksOut ? createDeliveryQueue(redis, prefix, onError) : undefined;
  const subscriptions = createSubscriptions(() =>
    connectRedis(redisUrl, 'patient', { onError, listens: true, name: `${prefix}:news` }),
  );
  const waiters = createCompletionWaiters(subscriptions);
  const liveJobs = createLiveJobs(redis, subscriptions);
  return {
    prefix,
    redis,
    large,
    acknowledger,
    models,
    queues,
    deliveries,
    webhooksOut,
    onCancelled,
    guard: createRedisGuard(redis, redisUrl),
    usage: createUsageStore(redis, prefix, queues.keys()),
    memory: createMemoryLook(redis),
    waiters,
    liveJobs,
    audit: createAudit(redis, prefix, onError),
    actionStarted: { call: () => {} },
    async close() {
      waiters.close();
      liveJobs.close();
      subscriptions.close();
      await Promise.allSettled([...queues.values()].map(({ bullmq }) => bullmq.close()));
      await deliveries?.close().catch(() => {});
      large.close();
      acknowledger.close();
      redis.disconnect();
    },
  };
}
