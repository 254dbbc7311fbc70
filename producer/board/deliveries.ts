import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { JobStatus } from '@bull-board/api/typings/app';
import { DELIVERY_QUEUE, type DeliveryQueue } from '../../src/webhooks/deliveries.ts';

/** The webhooks on their way to callers, as they are: a retry sends the same bytes once more. */
export class BoardDeliveries extends BullMQAdapter {
  constructor(deliveries: DeliveryQueue) {
    super(deliveries, { description: 'To the webhook_url of finished jobs' });
  }

  /** BullMQ's own name of it has braces, for Redis Cluster. */
  override getName(): string {
    return DELIVERY_QUEUE;
  }

  override getJobStatuses(): JobStatus[] {
    return ['active', 'waiting', 'completed', 'failed', 'delayed'];
  }
}
