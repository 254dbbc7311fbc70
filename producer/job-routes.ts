import { z } from 'zod';
import { isFinishedJob, JOB_STATUSES, type JobView } from '../src/job.ts';
import { parseJobRequest } from '../src/job-request.ts';
import { flawsOf } from '../src/problem.ts';
import type { O3Queue } from '../src/queue/o3-queue.ts';
import { HttpProblem, noResult } from './problem.ts';
import type { Reply, Route, RouteInput } from './route.ts';

/** The longest that a caller may be kept waiting, in seconds: proxies on the way give up at about that. */
const LONGEST_WAIT_S = 300;

const waitQuery = z.strictObject({ wait: z.coerce.number().min(0).max(LONGEST_WAIT_S).default(0) });
const listQuery = z.strictObject({
  status: z.enum(JOB_STATUSES).optional(),
  model: z.string().optional(),
  q: z.string().max(100).optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
  cursor: z.string().max(1000).optional(),
});
const noQuery = z.strictObject({});

/**
 * The routes of jobs.
 * `draining` aborts when the producer is about to stop: who waits is then answered with how things stand.
 */
export function jobRoutes(queue: O3Queue, draining: AbortSignal): Route[] {
  const waitFor = async (id: string, seconds: number, signal: AbortSignal): Promise<JobView> => {
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
      async handle({ query, body, signal }) {
        const { wait } = parseQuery(query, waitQuery);
        const job = await queue.enqueue(parseJobRequest(requireJson(body)));
        const latest = wait > 0 ? await waitFor(job.id, wait, signal) : job;
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
      async handle({ query }) {
        return { status: 200, body: await queue.list(parseQuery(query, listQuery)) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id',
      async handle({ params, query }) {
        parseQuery(query, noQuery);
        return { status: 200, body: await requireJob(queue, idOf(params)) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id/result',
      async handle({ params, query, signal }) {
        const id = idOf(params);
        const { wait } = parseQuery(query, waitQuery);
        if (wait > 0) await waitFor(id, wait, signal);
        return replyWithResult(queue, id);
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/cancel',
      async handle({ params, query }) {
        parseQuery(query, noQuery);
        const { outcome, job } = await queue.cancel(idOf(params));
        return { status: outcome === 'cancelling' ? 202 : 200, body: job };
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/retry',
      async handle({ params, query }) {
        parseQuery(query, noQuery);
        return { status: 202, body: await queue.retry(idOf(params)) };
      },
    },
    {
      method: 'delete',
      path: '/jobs/:id',
      async handle({ params, query }) {
        parseQuery(query, noQuery);
        await queue.remove(idOf(params));
        return { status: 204 };
      },
    },
  ];
}

async function replyWithResult(queue: O3Queue, id: string): Promise<Reply> {
  const reading = await queue.result(id);
  if (reading.status === 'completed') return { status: 200, body: reading.result };
  if (isFinishedJob(reading.job)) throw noResult(reading.job);
  return { status: 202, body: reading.job };
}

async function requireJob(queue: O3Queue, id: string): Promise<JobView> {
  const job = await queue.get(id);
  if (job === null)
    throw new HttpProblem(
      'job_not_found',
      `There is no job ${id.slice(0, 100)}: it never was, or its retention is over`,
    );
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

function parseQuery<Output>(query: unknown, schema: z.ZodType<Output>): Output {
  const parsed = schema.safeParse(query, { reportInput: true });
  if (parsed.success) return parsed.data;
  const flaws = flawsOf(parsed.error);
  const list = flaws.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  throw new HttpProblem('invalid_request', `The query was refused: ${list}`, { flaws });
}
