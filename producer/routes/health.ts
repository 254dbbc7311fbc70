import type { InstanceQueue } from '../../src/queue/instance-queue.ts';
import type { Route } from '../http/route.ts';
import { live, ready } from '../openapi/operations/instance.ts';

/**
 * healthRoutes are for supervisors and load balancers. `/livez` answers while the process runs. `/readyz`
 * answers 200 while the producer can serve: it is not stopping, and Redis accepts writes. `degraded` also has
 * status 200: jobs are accepted and kept, but some model does not answer, or the process has troubles of its own.
 * @param ownTroubles says in sentences what is wrong with the process.
 */
export function healthRoutes(
  queue: InstanceQueue,
  draining: AbortSignal,
  ownTroubles: () => string[],
): Route[] {
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
        // Redis has answered. The producer can serve even if the list of troubles cannot be read.
        const reasons = [...ownTroubles(), ...(await queue.troubles().catch(() => []))];
        if (reasons.length > 0) return { status: 200, body: { status: 'degraded', reasons } };
        return { status: 200, body: { status: 'ok' } };
      },
    },
  ];
}
