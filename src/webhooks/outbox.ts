import { isFinishedJob } from '../job/job.ts';
import { removeFromOutbox } from '../lua/webhooks.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { type DeliveryQueue, enqueueDelivery } from './deliveries.ts';

/** How many jobs are looked at together. */
const AT_ONCE = 100;

/** A job that stands in the outbox. */
export interface OutboxEntry {
  id: string;
  /** The score of its place: the time of its end, in milliseconds, as Redis writes it. */
  endedAt: string;
}

export interface OutboxDrain {
  redis: RedisClient;
  queue: ModelQueue;
  deliveries: DeliveryQueue;
  /** How often each webhook is tried. */
  maxAttempts: number;
}

/**
 * Moves what stands in a model's outbox into the delivery queue. Any number of workers may do it at the same time, and a crash between any two lines leaves a
 * job in the outbox that is perhaps in the queue as well: the next drain puts it there under the same id, which BullMQ ignores.
 */
export async function drainOutbox(drain: OutboxDrain): Promise<void> {
  for (;;) {
    const entries = await outboxEntries(drain.redis, drain.queue, AT_ONCE);
    await Promise.all(
      entries.map(async (entry) => {
        await passOn(drain, entry);
        await takeOut(drain.redis, drain.queue, entry);
      }),
    );
    if (entries.length < AT_ONCE) return;
  }
}

/** The ones that wait longest. */
export async function outboxEntries(
  redis: RedisClient,
  { keys }: ModelQueue,
  count: number,
): Promise<OutboxEntry[]> {
  const flat = await redis.zrangebyscore(keys.outbox, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, count);
  return flat.flatMap((id, i) => (i % 2 === 0 ? [{ id, endedAt: String(flat[i + 1]) }] : []));
}

/**
 * Nothing is to be told of a job that was forgotten meanwhile, or retried by hand: its next end puts it into the outbox again.
 * Should that end come between this look and the removal from the outbox, the removal leaves it there.
 */
export async function passOn(
  { queue, deliveries, maxAttempts }: Omit<OutboxDrain, 'redis'>,
  { id }: OutboxEntry,
): Promise<void> {
  const reading = await queue.read(id);
  if (reading?.webhook === undefined || !isFinishedJob(reading.view)) return;
  await enqueueDelivery(deliveries, reading.view, { url: reading.webhook, maxAttempts });
}

export async function takeOut(
  redis: RedisClient,
  { keys }: ModelQueue,
  { id, endedAt }: OutboxEntry,
): Promise<void> {
  await removeFromOutbox.run(redis, { keys: { outbox: keys.outbox }, args: { id, endedAt } });
}
