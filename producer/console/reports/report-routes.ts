import { type Response, Router } from 'express';
import { cachedRead } from '../../../src/async/cached-read.ts';
import { auditQuery } from '../../../src/audit/audit.ts';
import { checkedInput } from '../../../src/errors/input.ts';
import type { Failures } from '../../../src/overview/failures.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { QueueFor } from '../../access/caller.ts';
import { usageQuery } from '../../openapi/operations/usage.ts';
import type { Document } from '../document.tsx';
import { visitorOf } from '../navigation.tsx';
import { auditPage } from './audit-page.tsx';
import { costPage } from './cost-page.tsx';
import { failuresPage } from './failures-page.tsx';
import { tenantsPage } from './tenants-page.tsx';

/** How old the groups of failed jobs may be, in milliseconds: reading them may take half a second. */
const FAILURES_FRESH_MS = 5000;

/** reportRoutes serves the pages over many jobs: failures, cost and tenants. A tenant sees itself only. */
export function reportRoutes(
  queueFor: QueueFor,
  send: (response: Response, document: Document) => void,
): Router {
  const router = Router();
  const readers = new Map<TenantQueue, () => Promise<Failures>>();
  router.get('/failures', async (_request, response) => {
    const queue = queueFor(response);
    const read = readers.get(queue) ?? cachedRead(() => queue.overview.failures(), FAILURES_FRESH_MS);
    readers.set(queue, read);
    send(response, failuresPage(await read(), visitorOf(response)));
  });
  router.get('/cost', async ({ query }, response) => {
    // A field of the form that was left empty is no limit.
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ''));
    const asked = checkedInput('query', given, usageQuery.omit({ by: true }));
    const queue = queueFor(response);
    const [report, { tenants }] = await Promise.all([queue.usage(asked), queue.overview.tenants()]);
    send(response, costPage(report, tenants, visitorOf(response)));
  });
  router.get('/audit', async ({ query }, response) => {
    const page = await queueFor(response).audit(
      checkedInput('query', query, auditQuery.omit({ since: true, limit: true })),
    );
    send(response, auditPage(page, visitorOf(response)));
  });
  router.get('/tenants', async (_request, response) => {
    send(response, tenantsPage(await queueFor(response).overview.tenants(), visitorOf(response)));
  });
  return router;
}
