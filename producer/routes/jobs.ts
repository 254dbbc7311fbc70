import { checkedInput } from '../../src/errors/input.ts';
import { QueueError } from '../../src/errors/problem.ts';
import { traceContextIn } from '../../src/job/fields/trace-context.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import { parseJobRequest } from '../../src/job/request.ts';
import type { Caller } from '../../src/job/tenant.ts';
import type { JobView } from '../../src/job/view.ts';
import { type BoundedWait, NO_WAIT } from '../../src/queue/job-end.ts';
import type { ResultJsonOutcome, TenantQueue } from '../../src/queue/tenant-queue.ts';
import type { Quote } from '../../src/usage/quote.ts';
import { createAnySignal } from '../http/any-signal.ts';
import { HttpProblem, noResult } from '../http/http-problem.ts';
import {
  idempotencyKeyIn,
  type Reply,
  type Route,
  type RouteInput,
  type TokenCounter,
} from '../http/route.ts';
import * as operations from '../openapi/operations/jobs.ts';
import { enqueueQuery, jobQueryFrom, noQuery, waitQuery } from './job-queries.ts';

/**
 * jobRoutes are the routes of jobs.
 *
 * @param draining aborts when the producer is about to stop; waiting callers then get the job as it is.
 * @param countTokens counts the input of a request that is only quoted.
 */
export function jobRoutes(draining: AbortSignal, countTokens: TokenCounter): Route[] {
  const orDraining = createAnySignal(draining);
  /** @param look is called again, without waiting, when the producer is about to stop. */
  const waitFor = async <Found>(
    input: RouteInput,
    seconds: number,
    look: (waiting: BoundedWait) => Promise<Found>,
  ): Promise<Found> => {
    if (seconds === 0) return look(NO_WAIT);
    const { signal } = input;
    try {
      return await look({ timeoutMs: seconds * 1000, signal: orDraining(signal) });
    } catch (error: unknown) {
      if (draining.aborted && !signal.aborted) return look(NO_WAIT);
      throw error;
    }
  };

  const quoteOf = async ({ queue, body }: RouteInput): Promise<Quote> => {
    const request = parseJobRequest(requireJson(body));
    return queue.quote(request, await countTokens(queue, request));
  };

  return [
    {
      method: 'post',
      path: '/jobs',
      operation: operations.enqueueJob,
      async handle(input) {
        const { queue, query } = input;
        const { wait, quote } = checkedInput('query', query, enqueueQuery);
        if (quote !== undefined) return { status: 200, body: await quoteOf(input) };
        const notBefore = performance.now();
        const { job, isNew, ack } = await enqueue(input);
        input.dropBody();
        const stored = isNew ? { stored: { job, notBefore } } : {};
        const look = (waiting: BoundedWait): Promise<JobView> =>
          queue.wait(job.id, { ...waiting, ...stored });
        const latest = wait > 0 ? await waitFor(input, wait, look).catch(asStored(job)) : job;
        return {
          status: isNew && !isFinishedJob(latest) ? 202 : 200,
          headers: { location: `/jobs/${job.id}`, 'o3q-ack': ack },
          body: latest,
        };
      },
    },
    {
      method: 'get',
      path: '/jobs',
      operation: operations.listJobs,
      heavy: true,
      async handle({ queue, caller, query }) {
        const filter = jobQueryFrom(query);
        refuseOthersJobs(caller, filter.tenant);
        return { status: 200, body: await queue.list(filter) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id',
      operation: operations.getJob,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 200, body: await queue.get(idOf(params)) };
      },
    },
    {
      method: 'get',
      path: '/jobs/:id/result',
      operation: operations.getResult,
      async handle(input) {
        const { queue, params, query } = input;
        const id = idOf(params);
        const { wait } = checkedInput('query', query, waitQuery);
        return replyWith(await waitFor(input, wait, (waiting) => queue.resultJson(id, waiting)));
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/cancel',
      operation: operations.cancelJob,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        const { outcome, job } = await queue.cancel(idOf(params));
        return { status: outcome === 'cancelling' ? 202 : 200, body: job };
      },
    },
    {
      method: 'post',
      path: '/jobs/:id/retry',
      operation: operations.retryJob,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        return { status: 202, body: await queue.retry(idOf(params)) };
      },
    },
    {
      method: 'delete',
      path: '/jobs/:id',
      operation: operations.deleteJob,
      async handle({ queue, params, query }) {
        checkedInput('query', query, noQuery);
        await queue.delete(idOf(params));
        return { status: 204 };
      },
    },
  ];
}

/** The request is not held while the caller waits for its answer: it may be of 50 MB. */
function enqueue({ queue, headers, body }: RouteInput): ReturnType<TenantQueue['enqueue']> {
  const request = parseJobRequest(requireJson(body));
  return queue.enqueue(request, idempotencyKeyIn(headers), traceContextIn(headers));
}

function replyWith(outcome: ResultJsonOutcome): Reply {
  if (outcome.status === 'completed') return { status: 200, json: outcome.json };
  if (isFinishedJob(outcome.job)) throw noResult(outcome.job);
  return { status: 202, body: outcome.job };
}

/**
 * asStored answers a failed wait, for example when Redis went away, with the job as it was stored. After an
 * error the caller would enqueue the job again.
 */
function asStored(job: JobView): (error: unknown) => JobView {
  return (error) => {
    if (error instanceof QueueError) return job;
    throw error;
  };
}

/** refuseOthersJobs refuses the jobs of another tenant, instead of silently listing the caller's own. */
export function refuseOthersJobs(caller: Caller | undefined, tenant: string | undefined): void {
  if (caller === undefined || caller.admin || tenant === undefined || tenant === caller.tenant) return;
  throw new HttpProblem(
    'forbidden',
    `Expected the key of ${tenant} or admin for the jobs of ${tenant}, got the key of ${caller.tenant}`,
  );
}

function idOf(params: RouteInput['params']): string {
  return params['id'] ?? '';
}

/** requireJson refuses a body without the content type of JSON, instead of guessing what it is. */
export function requireJson(body: unknown): unknown {
  if (body === undefined) {
    throw new HttpProblem(
      'unsupported_media_type',
      'Expected a body of JSON, got none: send one with the header "content-type: application/json"',
    );
  }
  return body;
}
