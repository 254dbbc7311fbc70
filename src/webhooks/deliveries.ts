import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import { z } from 'zod';
import { type TraceContext, traceContextIn } from '../job/fields/trace-context.ts';
import { jobPageUrl } from '../job/ids/job-page.ts';
import type { FinishedJob } from '../job/view.ts';
import { deliveryTurn } from '../lua/webhooks.ts';
import type { RedisClient } from '../redis/connection.ts';

/**
 * delivery is the schema of one webhook that is being delivered: the data of a BullMQ job whose id is the
 * webhook's id.
 */
export const delivery = z.object({
  url: z.string(),
  /** Encoded once, because each try sends the same bytes and the signature covers the bytes. */
  body: z.string(),
  /** The id of the finished job. */
  job: z.string(),
  /** The tenant of that job; '' or undefined for none. */
  tenant: z.string().optional(),
  /** The span of the attempt that ended the job; undefined: it was not traced. */
  trace: z.unknown().transform(traceContextIn).optional(),
});
export type Delivery = z.infer<typeof delivery>;
export type DeliveryQueue = Queue<Delivery>;

/** The queue of all models' webhooks. No model can have this name. */
export const DELIVERY_QUEUE = '_webhooks';
export const DELIVERY_QUEUE_IN_REDIS = `{${DELIVERY_QUEUE}}`;
/** The name of the worker's own retry schedule. BullMQ stores only this name. */
export const DELIVERY_BACKOFF = 'webhook';

const KEPT_EVENTS = 1000;
/**
 * How long a delivered webhook is kept, in milliseconds. While it is kept, it is not sent again, however
 * often its job is found in the outbox.
 */
const DELIVERED_KEPT_MS = 24 * 3_600_000;
const CLEANED_AT_ONCE = 1000;
/** The largest priority of BullMQ 6.7.0. */
const LAST_TURN = 2_097_151;

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

/**
 * enqueueDelivery enqueues the webhook of a job's end, with its turn among the tenants as its priority. A
 * second call for the same end does nothing while the first delivery is kept.
 */
export async function enqueueDelivery(
  redis: RedisClient,
  deliveries: DeliveryQueue,
  job: FinishedJob,
  {
    url,
    maxAttempts,
    publicUrl,
    trace,
  }: {
    url: string;
    maxAttempts: number;
    publicUrl?: string | undefined;
    trace?: TraceContext | undefined;
  },
): Promise<void> {
  const type = `job.${job.status}`;
  const page = publicUrl === undefined ? {} : { console_url: jobPageUrl(publicUrl, job.id) };
  const body = JSON.stringify({ type, timestamp: job.finished_at, ...page, data: job });
  const tenant = job.tenant ?? '';
  const priority = await deliveryTurn.run(redis, {
    keys: {
      wait: deliveries.toKey('wait'),
      prioritized: deliveries.toKey('prioritized'),
      turns: deliveries.toKey('turns'),
    },
    args: { tenant, last: LAST_TURN },
  });
  await deliveries.add(
    `${type} · ${job.id}`,
    { url, body, job: job.id, tenant, ...(trace !== undefined && { trace }) },
    {
      jobId: webhookIdOf(job),
      priority: Number(priority),
      attempts: maxAttempts,
      backoff: { type: DELIVERY_BACKOFF },
      // The error's message has the receiver's answer. A stack trace of our code would add nothing.
      stackTraceLimit: 0,
    },
  );
}

/** DeliveryState says how far the webhook of a job's end has come. */
export interface DeliveryState {
  /**
   * `unknown`: there is no delivery, because a worker has not enqueued it yet, or because it was kept for
   * long enough. `sending`: it is being sent, or waits for its turn. `retrying`: it waits for its next try.
   */
  state: 'unknown' | 'sending' | 'retrying' | 'delivered' | 'given up';
  /** How many tries have ended. */
  tries: number;
  /** What the receiver answered last, or why it could not be reached; undefined: no try has failed. */
  why: string | undefined;
  /** When the delivery ended, in Unix milliseconds; undefined: it has not ended. */
  endedAt: number | undefined;
}

const STATES: Readonly<Record<string, DeliveryState['state']>> = {
  completed: 'delivered',
  failed: 'given up',
  delayed: 'retrying',
};

/** deliveryStateOf reads how far the webhook of a job's end has come. */
export async function deliveryStateOf(deliveries: DeliveryQueue, job: FinishedJob): Promise<DeliveryState> {
  const found = await deliveries.getJob(webhookIdOf(job));
  if (found === undefined) return { state: 'unknown', tries: 0, why: undefined, endedAt: undefined };
  const state = STATES[await found.getState()] ?? 'sending';
  const why = state === 'delivered' ? undefined : found.failedReason;
  return { state, tries: found.attemptsMade, why, endedAt: found.finishedOn };
}

/**
 * deleteOldDeliveries deletes deliveries that were kept for long enough. Any number of workers may run it at
 * any time.
 */
export async function deleteOldDeliveries(deliveries: DeliveryQueue, failedKeptMs: number): Promise<void> {
  for (const [state, keptMs] of [
    ['completed', DELIVERED_KEPT_MS],
    ['failed', failedKeptMs],
  ] as const) {
    let deleted: string[];
    do deleted = await deliveries.clean(keptMs, CLEANED_AT_ONCE, state);
    while (deleted.length === CLEANED_AT_ONCE);
  }
}

/**
 * The id depends on the job and the time of its end. A job that is retried by hand ends again, and the
 * webhook of that end has another id.
 */
function webhookIdOf({ model, id, finished_at }: FinishedJob): string {
  const hash = createHash('sha256').update(JSON.stringify([model, id, finished_at]));
  return `msg_${hash.digest('hex').slice(0, 32)}`;
}
