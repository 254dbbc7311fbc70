import { Webhook } from 'standardwebhooks';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { FinishedJob } from '../../../src/job/view.ts';
import { createDeliveryQueue, type DeliveryQueue } from '../../../src/webhooks/deliveries.ts';
import { eventually } from '../eventually.ts';
import { openWebhookReceiver, type ReceivedWebhook, type WebhookReceiver } from '../http/webhook-receiver.ts';
import { QUICK_RECOVERY, startWorkerWorld, type WorkerWorld } from './worker-world.ts';

export const CALLERS_SECRET = `whsec_${Buffer.from('a secret of 24 bytes or more').toString('base64')}`;
export const RETRY_DELAYS_MS = [5, 5, 5];
/** Time for a lock to expire and for two checks for stalled jobs. */
export const RECOVERED_MS = 30_000;

/** CallersWorld is workers that deliver webhooks, and the receivers of a test. */
export interface CallersWorld {
  readonly world: WorkerWorld;
  readonly deliveries: DeliveryQueue;
  /** @param answer see openWebhookReceiver. */
  receiver(answer?: (n: number) => number): Promise<WebhookReceiver>;
  /** Makes a job that is finished at once, without a worker. @param tenant undefined: none. */
  cancelledJob(url: string, tenant?: string): Promise<string>;
  /** Returns how many webhooks were delivered and abandoned, when none is left to deliver. */
  settled(): Promise<{ completed: number; failed: number }>;
  /** Stops what a test has started, and empties Redis. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export async function openCallersWorld(): Promise<CallersWorld> {
  const world = await startWorkerWorld({
    workers: 0,
    recovery: QUICK_RECOVERY,
    webhooksOut: { secret: CALLERS_SECRET, retryDelaysMs: RETRY_DELAYS_MS },
  });
  const deliveries = createDeliveryQueue(world.client, 'o3q', () => {});
  const receivers: WebhookReceiver[] = [];
  return {
    world,
    deliveries,
    async receiver(answer) {
      const opened = await openWebhookReceiver(answer);
      receivers.push(opened);
      return opened;
    },
    async cancelledJob(url, tenant) {
      const queue = tenant === undefined ? world.queue : world.queue.as({ tenant, admin: false });
      const request = { question: 'Never?', delay_ms: 3_600_000, webhook_url: url };
      const { id } = (await queue.enqueue(parseJobRequest(request))).job;
      await world.queue.cancel(id);
      return id;
    },
    settled: () =>
      eventually(async () => {
        const inOutbox = await world.client.zcard(world.keys.outbox);
        const states = ['completed', 'failed', 'active', 'waiting', 'prioritized', 'delayed'] as const;
        const { completed = 0, failed = 0, ...unfinished } = await deliveries.getJobCounts(...states);
        expect({ inOutbox, ...unfinished }).toEqual({
          inOutbox: 0,
          active: 0,
          waiting: 0,
          prioritized: 0,
          delayed: 0,
        });
        return { completed, failed };
      }, RECOVERED_MS),
    async clear() {
      for (const worker of [...world.workers]) await world.stopWorker(worker);
      for (const receiver of receivers.splice(0)) await receiver.close();
      await world.client.flushall();
    },
    async close() {
      await deliveries.close();
      await world.stop();
    },
  };
}

export interface WebhookEvent {
  type: string;
  timestamp: string;
  data: FinishedJob;
}

/** Checks a webhook as a receiver does. */
export function eventIn({ body, headers }: ReceivedWebhook): WebhookEvent {
  return new Webhook(CALLERS_SECRET).verify(body, headers as Record<string, string>) as WebhookEvent;
}
