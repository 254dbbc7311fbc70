import { z } from 'zod';
import type { AcknowledgedOutcome } from '../../src/enqueue/enqueue.ts';
import { checkedInput } from '../../src/errors/input.ts';
import { traceContextIn } from '../../src/job/fields/trace-context.ts';
import type { BulkRequest } from '../../src/job/request.ts';
import { problemFrom } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';
import { enqueueBulk } from '../openapi/operations/bulk.ts';
import { noQuery } from './job-queries.ts';
import { requireJson } from './jobs.ts';

/** The schema checks the envelope only: an invalid job gets its own refusal. */
const envelope = z.strictObject({ jobs: z.array(z.custom<BulkRequest>()) });

export function bulkRoute(): Route {
  return {
    method: 'post',
    path: '/jobs/bulk',
    heavy: true,
    operation: enqueueBulk,
    async handle({ queue, query, headers, body }) {
      checkedInput('query', query, noQuery);
      const { jobs } = checkedInput('bulk', requireJson(body), envelope);
      const outcomes = await queue.enqueueBulk(jobs, traceContextIn(headers));
      return {
        status: 207,
        headers: ackHeaderOf(outcomes),
        body: { outcomes: outcomes.map(bulkAnswerOf) },
      };
    },
  };
}

/** ackHeaderOf says what Redis has done with each of the jobs. Without a job there is no header. */
function ackHeaderOf(outcomes: readonly AcknowledgedOutcome[]): Record<string, string> {
  const acks = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.ack] : []));
  const [first] = acks;
  return first === undefined ? {} : { 'o3q-ack': acks.includes('memory') ? 'memory' : first };
}

function bulkAnswerOf(outcome: AcknowledgedOutcome): { status: number } & Record<string, unknown> {
  if (outcome.ok) return { status: outcome.isNew ? 202 : 200, job: outcome.job };
  const problem = problemFrom(outcome.error);
  if (problem === undefined) throw outcome.error;
  return { status: problem.status, problem };
}
