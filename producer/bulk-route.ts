import { z } from 'zod';
import { checkedInput } from '../src/input.ts';
import type { BulkRequest } from '../src/job-request.ts';
import type { EnqueueOutcome } from '../src/queue/enqueue-once.ts';
import { noQuery } from './job-queries.ts';
import { requireJson } from './job-routes.ts';
import { enqueueBulk } from './openapi/bulk-operation.ts';
import { problemFrom } from './problem.ts';
import type { Route } from './route.ts';

/** The envelope alone: a job in it that is no request refuses only itself. */
const envelope = z.strictObject({ jobs: z.array(z.custom<BulkRequest>()) });

export function bulkRoute(): Route {
  return {
    method: 'post',
    path: '/jobs/bulk',
    operation: enqueueBulk,
    async handle({ queue, query, body }) {
      checkedInput('query', query, noQuery);
      const { jobs } = checkedInput('bulk', requireJson(body), envelope);
      const outcomes = await queue.enqueueBulk(jobs);
      return { status: 207, body: { outcomes: outcomes.map(outcomeOf) } };
    },
  };
}

function outcomeOf(outcome: EnqueueOutcome): { status: number } & Record<string, unknown> {
  if (outcome.ok) return { status: outcome.isNew ? 202 : 200, job: outcome.job };
  const problem = problemFrom(outcome.error);
  if (problem === undefined) throw outcome.error;
  return { status: problem.status, problem };
}
