import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import { z } from 'zod';
import type { FinishedJob } from '../job/view.ts';
import type { RedisClient } from '../redis/connection.ts';

/** One webhook on its way, as it stands in the data of its BullMQ job, whose id is the webhook's. */
export const delivery = z.object({
  url: z.string(),
  /** Written once: a receiver is sent the same bytes each time, and the signature is of the bytes. */
  body: z.string(),
  /** The job whose end it tells. */
  job: z.string(),
});
export type Delivery = z.infer<typeof delivery>;
export type DeliveryQueue = Queue<Delivery>;

/** Of all models. No model can have this name, and no board shows two queues of one name. */
export const DELIVERY_QUEUE = '_webhooks';
export const DELIVERY_QUEUE_IN_REDIS = `{${DELIVERY_QUEUE}}`;
/** The worker's own schedule; the type is all that BullMQ keeps of it. */
export const DELIVERY_BACKOFF = 'webhook';

const KEPT_EVENTS = 1000;
/** How long one that arrived can still be looked up, and is not sent again however often its job is found in the outbox. */
const DELIVERED_KEPT_MS = 24 * 3_600_000;
const CLEANED_AT_ONCE = 1000;

export function createDeliveryQueue(
  redis: RedisClient,
  prefix: string,
  onError: (error: Error) => void,
): DeliveryQueue {
  const queue: DeliveryQueue = new Queue(DELIVERY_QUEUE_IN_REDIS, {
    connection: redis,
    prefix,
    streams: { events: { maxLen: KEPT_EVENTS } },
  });
  queue.on('error', onError);
  return queue;
}

/** Puts the end of a job on its way to `url`. Again for the same end: nothing happens, while the first is kept. */
export async function enqueueDelivery(
  deliveries: DeliveryQueue,
  job: FinishedJob,
  { url, maxAttempts }: { url: string; maxAttempts: number },
): Promise<void> {
  const type = `job.${job.status}`;
  const body = JSON.stringify({ type, timestamp: job.finished_at, data: job });
  await deliveries.add(
    `${type} · ${job.id}`,
    { url, body, job: job.id },
    {
      jobId: webhookIdOf(job),
      attempts: maxAttempts,
      backoff: { type: DELIVERY_BACKOFF },
      // What the receiver said is in the message; where in our code we heard it helps nobody.
      stackTraceLimit: 0,
    },
  );
}

/** Forgets what is over: at any time, by any number of workers. */
export async function forgetDeliveries(deliveries: DeliveryQueue, failedKeptMs: number): Promise<void> {
  for (const [state, keptMs] of [
    ['completed', DELIVERED_KEPT_MS],
    ['failed', failedKeptMs],
  ] as const) {
    let forgotten: string[];
    do forgotten = await deliveries.clean(keptMs, CLEANED_AT_ONCE, state);
    while (forgotten.length === CLEANED_AT_ONCE);
  }
}

/** The same for the same end of the same job; a job that is retried by hand comes to another one. */
function webhookIdOf({ model, id, finished_at }: FinishedJob): string {
  const hash = createHash('sha256').update(JSON.stringify([model, id, finished_at]));
  return `msg_${hash.digest('hex').slice(0, 32)}`;
}
