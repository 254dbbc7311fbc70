import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import type { Route } from '../http/route.ts';
import { live, ready } from '../openapi/operations/instance.ts';

/** `/livez`: the process runs. `/readyz`: it can serve, which needs a Redis that takes writes; a load balancer sends nothing to one that stops.
 * `degraded` is ready: jobs are taken and kept, but of some model none is answered. */
export function healthRoutes(queue: InstanceQueue, draining: AbortSignal): Route[] {
  return [
    {
      method: 'get',
      path: '/livez',
      open: true,
      operation: live,
      handle: async () => ({ status: 200, body: { status: 'ok' } }),
    },
    {
      method: 'get',
      path: '/readyz',
      open: true,
      operation: ready,
      async handle() {
        if (draining.aborted) return { status: 503, body: { status: 'draining' } };
        await queue.ready();
        // Redis is well; what cannot be looked at for another reason is no reason to take this producer out.
        const reasons = await queue.troubles().catch(() => []);
        if (reasons.length > 0) return { status: 200, body: { status: 'degraded', reasons } };
        return { status: 200, body: { status: 'ok' } };
      },
    },
  ];
}
