import type { WorkerSettings } from '../../src/config/file.ts';
import type { ModelQueue } from '../../src/model-queue/model-queue.ts';
import type { Logger } from '../../src/process/log.ts';
import type { RedisClient } from '../../src/redis/connection.ts';
import { createDeliveryQueue, type DeliveryQueue } from '../../src/webhooks/deliveries.ts';
import { drainOutbox } from '../../src/webhooks/outbox.ts';
import type { QueueWorker, Recovery } from '../job-worker.ts';
import { keepDrained } from '../maintenance/drains.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { createWebhookDelivery } from './delivery.ts';
import type { WebhookSenderOptions } from './sender.ts';

export interface WebhooksOutOptions extends Omit<WebhookSenderOptions, 'allowPrivate'> {
  /**
   * The waits after the first, the second, … failure, in milliseconds; each may be up to a fifth longer.
   * Default: ten more tries within about three and a half days.
   */
  retryDelaysMs?: readonly number[];
}

export interface WebhooksOutSurroundings {
  redis: RedisClient;
  /** A connection for messages, shared with others. */
  subscriber: RedisClient;
  prefix: string;
  /** They may change: each delivery reads them. */
  settings: Pick<WorkerSettings, 'allowPrivateWebhooks' | 'http'>;
  queues: readonly ModelQueue[];
  recovery: Recovery;
  metrics: Metrics;
  logger: Logger;
  onError: (error: Error) => void;
}

export interface WebhooksOut {
  /** The BullMQ worker that sends. The process stops it together with the workers of the models. */
  readonly worker: QueueWorker;
  readonly deliveries: DeliveryQueue;
  close(): Promise<unknown>;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const RETRY_DELAYS_MS = [
  ...[5 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS],
  ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS),
];

/**
 * createWebhooksOut notifies callers when their jobs end. It moves webhooks from the outboxes into one queue,
 * and sends them from there.
 */
export function createWebhooksOut(
  { retryDelaysMs = RETRY_DELAYS_MS, ...sender }: WebhooksOutOptions,
  surroundings: WebhooksOutSurroundings,
): WebhooksOut {
  const { redis, subscriber, prefix, settings, queues, logger, onError } = surroundings;
  if (settings.allowPrivateWebhooks) {
    logger.warn(
      'allowPrivateWebhooks is on: callers can have requests sent to this machine and to its network',
    );
  }
  const deliveries = createDeliveryQueue(redis, prefix, onError);
  const worker = createWebhookDelivery({
    ...surroundings,
    sender: { ...sender, allowPrivate: () => settings.allowPrivateWebhooks },
    retryDelaysMs,
  });
  const maxAttempts = retryDelaysMs.length + 1;
  const drains = queues.map(
    (queue) =>
      [
        queue.keys.outbox,
        () => drainOutbox({ redis, queue, deliveries, maxAttempts, publicUrl: settings.http?.publicUrl }),
      ] as const,
  );
  const stop = keepDrained(subscriber, new Map(drains), onError);
  return {
    worker,
    deliveries,
    close() {
      stop();
      return deliveries.close();
    },
  };
}
