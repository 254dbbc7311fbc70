import { DelayedError, type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { tracedDelivery } from '../../src/tracing/delivery-span.ts';
import { DELIVERY_QUEUE_IN_REDIS, type Delivery, delivery } from '../../src/webhooks/deliveries.ts';
import { closeWorker, JobWorker, type QueueWorker, type Recovery } from '../job-worker.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { createReceivers, type TryEnd } from './receivers.ts';
import { createWebhookSender, type Sent, type WebhookSenderOptions } from './sender.ts';

export interface WebhookDeliveryOptions {
  redis: RedisClient;
  prefix: string;
  sender: WebhookSenderOptions;
  retryDelaysMs: readonly number[];
  recovery: Recovery;
  metrics: Metrics;
  logger: Logger;
  onError: (error: Error) => void;
}

/**
 * How many webhooks are delivered at the same time. `Receivers` bounds how many of them are of one receiver
 * or tenant. Jobs do not wait for webhooks.
 */
const DELIVERIES_AT_ONCE = 100;
const MOST_RECOVERIES = 10;
const JITTER = 0.2;

/**
 * createWebhookDelivery delivers the webhooks of all models, each at least once: when this worker dies before
 * it has recorded the receiver's answer, the receiver gets the webhook again.
 */
export function createWebhookDelivery(options: WebhookDeliveryOptions): QueueWorker {
  const { redis, prefix, retryDelaysMs, recovery, metrics, logger, onError } = options;
  const sender = createWebhookSender(options.sender);
  const receivers = createReceivers();
  const releasing = new AbortController();
  const running = new Set<AbortController>();

  const send = async (id: string, webhook: Delivery): Promise<Sent | 'released'> => {
    // Each delivery has its own signal. One signal for the worker's whole life would collect the listeners of
    // all deliveries.
    const interruption = new AbortController();
    running.add(interruption);
    if (releasing.signal.aborted) interruption.abort();
    try {
      const { job, url, trace: attempt } = webhook;
      return await tracedDelivery({ job, url, attempt }, () =>
        sender.send({ id, ...webhook }, interruption.signal),
      );
    } catch (error: unknown) {
      if (interruption.signal.aborted) return 'released';
      throw error;
    } finally {
      running.delete(interruption);
    }
  };

  /**
   * Sends a webhook if its receiver and its tenant have room for it now. Otherwise it returns how long to
   * wait, in milliseconds.
   */
  const sendInTurn = async (job: Job, isLast: boolean): Promise<Sent | 'released' | { waitMs: number }> => {
    const parsed = delivery.safeParse(job.data);
    if (!parsed.success) return { kind: 'refused', why: 'its data is not a webhook' };
    const [id, webhook] = [job.id ?? '', parsed.data];
    const turn = receivers.turnOf({ id, url: webhook.url, tenant: webhook.tenant ?? '', isLast });
    if (turn.kind === 'wait') return { waitMs: turn.ms };
    if (turn.kind === 'skip') return { kind: 'failed', why: turn.why };
    let end: [TryEnd, string?] = [undefined];
    try {
      const sent = await send(id, webhook);
      if (sent !== 'released' && sent.kind === 'delivered') end = ['delivered'];
      else if (sent !== 'released' && sent.kind === 'failed') end = ['failed', sent.why];
      return sent;
    } finally {
      turn.end(...end);
    }
  };

  const processWebhook = async (job: Job, token = ''): Promise<unknown> => {
    const isLastTry = job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    const sent = await sendInTurn(job, isLastTry);
    if (sent !== 'released' && 'waitMs' in sent) {
      // BullMQ does not count this try.
      await job.moveToDelayed(Date.now() + sent.waitMs, token);
      throw new DelayedError();
    }
    if (sent === 'released') {
      // Another worker sends the webhook again, and BullMQ does not count this try. A receiver that already
      // has the webhook recognizes its id.
      await job.moveToWait(token);
      throw new WaitingError();
    }
    const line = { webhook: job.id, job: (job.data as { job?: unknown } | null)?.job };
    if (sent.kind === 'delivered') {
      metrics.delivery('delivered');
      logger.info({ ...line, status: sent.status }, 'webhook delivered');
      return { status: sent.status };
    }
    const isLast = sent.kind === 'refused' || isLastTry;
    metrics.delivery(isLast ? 'given_up' : 'failed');
    if (isLast) logger.warn({ ...line, why: sent.why }, 'giving up on the webhook');
    else logger.warn({ ...line, why: sent.why }, 'the webhook will be sent again');
    throw sent.kind === 'refused' ? new UnrecoverableError(sent.why) : new Error(sent.why);
  };

  const bullmq = {
    connection: redis,
    prefix,
    concurrency: DELIVERIES_AT_ONCE,
    lockDuration: recovery.lockMs,
    stalledInterval: recovery.stalledMs,
    maxStalledCount: MOST_RECOVERIES,
    settings: {
      backoffStrategy: (attemptsMade: number) => jittered(delayAfter(attemptsMade, retryDelaysMs)),
    },
  };
  const worker = new JobWorker(DELIVERY_QUEUE_IN_REDIS, processWebhook, bullmq, () => {
    // Closing interrupts nothing, because each delivery ends by itself within the receiver's time limit.
  });
  worker.on('error', (error) => {
    if (!error.message.startsWith('could not renew lock')) onError(error);
  });

  return {
    async leave() {
      await worker.pause(true);
      await closeWorker(worker, redis);
    },
    release() {
      releasing.abort();
      for (const interruption of running) interruption.abort();
    },
    hasUnrecoverableWork: () => false,
    abandon() {
      worker.close(true).catch(onError);
    },
  };
}

function delayAfter(attemptsMade: number, delaysMs: readonly number[]): number {
  return delaysMs[attemptsMade - 1] ?? delaysMs.at(-1) ?? 0;
}

/**
 * The wait is up to a fifth longer at random, so that a receiver that was down does not get all webhooks at
 * once.
 */
function jittered(delayMs: number): number {
  return Math.round(delayMs * (1 + JITTER * Math.random()));
}
