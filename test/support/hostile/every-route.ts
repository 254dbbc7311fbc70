import { routesOf } from '../../../producer/app.ts';
import type { Route } from '../../../producer/http/route.ts';
import { createProducerMetrics } from '../../../producer/metrics/producer-metrics.ts';
import { createLogger } from '../../../src/process/log.ts';
import type { InstanceQueue } from '../../../src/queue/instance-queue.ts';

/** The table of all routes, for reading: a queue without models is enough, since no handler is called. */
export function everyRoute(): Route[] {
  const queue = new Proxy({} as InstanceQueue, {
    get(_target, name) {
      if (name === 'queues') return [];
      throw new Error(
        `the routes were expected to be made without the queue, and asked for its ${String(name)}`,
      );
    },
  });
  return routesOf({
    queue,
    webhookSecret: 'whsec_bm9ib2R5IGtub3dz',
    eventTokens: undefined,
    draining: new AbortController().signal,
    metrics: createProducerMetrics([]),
    logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
  });
}
