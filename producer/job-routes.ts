import { z } from 'zod';
import { checkedInput } from '../src/input.ts';
import { isFinishedJob, JOB_STATUSES, type JobView } from '../src/job.ts';
import { parseJobRequest } from '../src/job-request.ts';
import { QueueError } from '../src/problem.ts';
import { notFound } from '../src/queue/located-job.ts';
import type { TenantQueue } from '../src/queue/tenant-queue.ts';
import { HttpProblem, noResult } from './problem.ts';
import type { Reply, Route, RouteInput } from './route.ts';

/** The longest that a caller may be kept waiting, in seconds: proxies on the way give up at about that. */
const LONGEST_WAIT_S = 300;

/** A query holds texts, and JavaScript reads `0x10`, a blank and nothing at all as numbers too. */
function numberText(form: RegExp, least: number, most: number, what: string) {
  const expected = `expected one ${what} from ${least} to ${most}`;
  return z
    .string(expected)
    .regex(form, expected)
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected);
}

const waitQuery = z.strictObject({
  wait: numberText(/^\d+(\.\d+)?$/, 0, LONGEST_WAIT_S, 'number of seconds').default(0),
});
const listQuery = z.strictObject({
  status: z.enum(JOB_STATUSES).optional(),
  model: z.string().optional(),
  q: z.string().max(100).optional(),
  limit: numberText(/^\d+$/, 1, 100, 'whole number').optional(),
  cursor: z.string().max(1000).optional(),
});
const noQuery = z.strictObject({});

/**
 * The routes of jobs.
 * `draining` aborts when the producer is about to stop: who waits is then answered with how things stand.
 */
export function jobRoutes(draining: AbortSignal): Route[] {
  const waitFor = async (
    { queue, signal }: Pick<RouteInput, 'queue' | 'signal'>,
    id: string,
    seconds: number,
  ): Promise<JobView> => {
    try {
      return await queue.wait(id, { timeoutMs: seconds * 1000, signal: AbortSignal.any([signal, draining]) });
    } catch (error: unknown) {
      if (draining.aborted && !signal.aborted) return requireJob(queue, id);
      throw error;
    }
  };

  return [
    {
      method: 'post',
      path: '/jobs',
      async handle({ queue, query, body, signal }) {
        const { wait } = checkedInput('query', query, waitQuery);
        const job = await queue.enqueue(parseJobRequest(requireJson(body)));
        const latest = wait > 0 ? await waitFor({ queue, signal }, job.id, wait).catch(asStored(job)) : job;
        return {
          status: isFinishedJob(latest) ? 200 : 202,
          headers: { location: `/jobs/${job.id}` },
          body: latest,
        };
      },
    },
    {
      method: 'get',
      path: '/jobs',
      async handle({ queue, query }) {
        return { status: 200, body: await queue.list(checkedInput('query', query, listQuery)) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id',
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 200, body: await requireJob(queue, idOf(params)) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id/result',
      async handle({ queue, params, query, signal }) {
        const id = idOf(params);
        const { wait } = checkedInput('query', query, waitQuery);
        if (wait > 0) await waitFor({ queue, signal }, id, wait);
        return replyWithResult(queue, id);
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/cancel',
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        const { outcome, job } = await queue.cancel(idOf(params));
        return { status: outcome === 'cancelling' ? 202 : 200, body: job };
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/retry',
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 202, body: await queue.retry(idOf(params)) };
      },
    },
    {
      method: 'delete',
      path: '/jobs/:id',
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        await queue.remove(idOf(params));
        return { status: 204 };
      },
    },
  ];
}

async function replyWithResult(queue: TenantQueue, id: string): Promise<Reply> {
  const reading = await queue.resultJson(id);
  if (reading.status === 'completed') return { status: 200, json: reading.json };
  if (isFinishedJob(reading.job)) throw noResult(reading.job);
  return { status: 202, body: reading.job };
}

/** The job is stored: were the broken wait reported instead (Redis may have gone away), the caller would enqueue it again. */
function asStored(job: JobView): (error: unknown) => JobView {
  return (error) => {
    if (error instanceof QueueError) return job;
    throw error;
  };
}

async function requireJob(queue: TenantQueue, id: string): Promise<JobView> {
  const job = await queue.get(id);
  if (job === null) throw notFound(id);
  return job;
}

function idOf(params: RouteInput['params']): string {
  return params['id'] ?? '';
}

/** An absent or differently labelled body is refused by its label: guessing would store what nobody meant. */
function requireJson(body: unknown): unknown {
  if (body === undefined) {
    throw new HttpProblem(
      'unsupported_media_type',
      'A body of JSON was expected, with the header "content-type: application/json"',
    );
  }
  return body;
}
