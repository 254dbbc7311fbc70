import { isFinishedJob } from '../job/job.ts';
import { removeFromOutbox } from '../lua/webhooks.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import { type DeliveryQueue, enqueueDelivery } from './deliveries.ts';

/** How many jobs are drained together. */
const AT_ONCE = 100;

/** OutboxEntry is a job in the outbox. */
export interface OutboxEntry {
  id: string;
  /** The time of the job's end in Unix milliseconds, as a text in the form in which Redis writes scores. */
  endedAt: string;
}

/** OutboxDrain names the outbox and the queue into which it is drained. */
export interface OutboxDrain {
  redis: RedisClient;
  queue: ModelQueue;
  deliveries: DeliveryQueue;
  /** The most tries of each webhook. */
  maxAttempts: number;
  /** `http.publicUrl`: where people reach the instance. */
  publicUrl?: string | undefined;
}

/**
 * drainOutbox moves the jobs of a model's outbox into the delivery queue. Any number of workers may run it at
 * the same time. After a crash between any two lines, a job may be both in the outbox and in the delivery
 * queue. The next drain adds it again under the same id, and BullMQ ignores the second one.
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

/** outboxEntries returns the entries that have waited longest. */
export async function outboxEntries(
  redis: RedisClient,
  { keys }: ModelQueue,
  count: number,
): Promise<OutboxEntry[]> {
  const flat = await redis.zrangebyscore(keys.outbox, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, count);
  return flat.flatMap((id, i) => (i % 2 === 0 ? [{ id, endedAt: String(flat[i + 1]) }] : []));
}

/**
 * passOn enqueues the webhook of an entry. It enqueues nothing for a job that was meanwhile deleted or
 * retried by hand: the next end of a retried job puts the job into the outbox again. If that end comes
 * between this read and the removal of the entry, the removal leaves the entry in place.
 */
export async function passOn(
  { redis, queue, deliveries, maxAttempts, publicUrl }: OutboxDrain,
  { id }: OutboxEntry,
): Promise<void> {
  const reading = await queue.read(id);
  if (reading?.webhook === undefined || !isFinishedJob(reading.view)) return;
  const { view, webhook: url, trace } = reading;
  await enqueueDelivery(redis, deliveries, view, { url, maxAttempts, publicUrl, trace });
}

/** takeOut removes the entry of a webhook that is enqueued. */
export async function takeOut(
  redis: RedisClient,
  { keys }: ModelQueue,
  { id, endedAt }: OutboxEntry,
): Promise<void> {
  await removeFromOutbox.run(redis, { keys: { outbox: keys.outbox }, args: { id, endedAt } });
}
