import { auditPage, auditQuery, ENTRIES_PER_PAGE } from '../../src/audit/audit.ts';
import { checkedInput } from '../../src/errors/input.ts';
import type { Route } from '../http/route.ts';
import type { Operation } from '../openapi/operation.ts';
import { listQuery } from './job-queries.ts';

const routeQuery = auditQuery.extend({
  limit: listQuery.shape.limit.describe(`Entries per page; default ${ENTRIES_PER_PAGE}.`),
});

const listAudit: Operation = {
  id: 'listAudit',
  tag: 'instance',
  summary: 'Read who has done what, newest first',
  description:
    'Cancels, retries and deletions of jobs, actions, resumes of models, and logins, with what each did, kept for ' +
    '90 days. A tenant reads its own acts and those on its jobs; `admin` reads all.',
  query: routeQuery,
  answers: { 200: { description: 'A page', content: { schema: auditPage } } },
  problems: ['redis_unavailable'],
};

/** auditRoute reads the audit log. */
export function auditRoute(): Route {
  return {
    method: 'get',
    path: '/audit',
    heavy: true,
    operation: listAudit,
    async handle({ queue, query }) {
      return { status: 200, body: await queue.audit(checkedInput('query', query, routeQuery)) };
    },
  };
}
