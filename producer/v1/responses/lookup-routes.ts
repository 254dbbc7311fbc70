import { QueueError } from '../../../src/errors/problem.ts';
import { jobIdOf } from '../../../src/job/ids/response-id.ts';
import { isFinishedJob } from '../../../src/job/job.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { Reply, Route, RouteInput } from '../../http/route.ts';
import { createSharedTexts, SSE_KEEP_ALIVE, SSE_TYPE } from '../../http/sse.ts';
import * as operations from '../../openapi/operations/v1.ts';
import { answerStream } from '../answer-stream.ts';
import { OpenAiError } from '../openai-error.ts';
import { inputItemPage } from './input-items.ts';
import { isBackground, responseObject } from './response-object.ts';
import { responseWriter } from './response-stream.ts';

/**
 * lookupRoutes returns the routes for an existing response. They answer 404 for a response of another tenant.
 */
export function lookupRoutes(): Route[] {
  const texts = createSharedTexts();
  return [
    {
      method: 'get',
      path: '/v1/responses/:id',
      operation: operations.retrieveResponse,
      async handle({ queue, params, query, signal, openStream }) {
        if (query['stream'] === 'true') openStream();
        const found = await inspect(queue, params);
        if (query['stream'] !== 'true') return { status: 200, body: responseObject(found) };
        const watched = await queue.watch(found.job.id, { after: 0, signal });
        const chunks = answerStream(responseWriter(found, texts), found, watched, {
          startingAfter: startingAfter(query),
          queue,
          signal,
        });
        return { status: 200, stream: { contentType: SSE_TYPE, keepAlive: SSE_KEEP_ALIVE, chunks } };
      },
    },
    {
      method: 'post',
      path: '/v1/responses/:id/cancel',
      operation: operations.cancelResponse,
      handle: async ({ queue, params }) => cancel(await inspect(queue, params), queue),
    },
    {
      method: 'delete',
      path: '/v1/responses/:id',
      operation: operations.deleteResponse,
      async handle({ queue, params }) {
        const { job } = await inspect(queue, params);
        if (!isFinishedJob(job)) {
          throw new OpenAiError(400, { message: `Cannot delete an in-flight response.` });
        }
        await queue.delete(job.id);
        return { status: 200, body: { id: idOf(params), object: 'response', deleted: true } };
      },
    },
    {
      method: 'get',
      path: '/v1/responses/:id/input_items',
      operation: operations.listInputItems,
      async handle({ queue, params, query }) {
        const { request } = await inspect(queue, params);
        return { status: 200, body: inputItemPage(idOf(params), request['input'], query) };
      },
    },
  ];
}

/**
 * cancel answers as OpenAI does, even where OpenAI contradicts itself. A response that is being cancelled is
 * reported as cancelled, because the cancel cannot be undone.
 * @throws {OpenAiError} for a response that cannot be cancelled.
 */
async function cancel(found: JobDetail, queue: TenantQueue): Promise<Reply> {
  const { job, request } = found;
  if (!isBackground(request))
    throw new OpenAiError(400, { message: 'Cannot cancel a synchronous response.' });
  try {
    const { job: latest } = await queue.cancel(job.id);
    return { status: 200, body: { ...responseObject({ ...found, job: latest }), status: 'cancelled' } };
  } catch (error: unknown) {
    if (!(error instanceof QueueError) || error.code !== 'job_finished') throw error;
    return afterTheEnd(await queue.inspect(job.id));
  }
}

function afterTheEnd(ended: JobDetail): Reply {
  const { job, request, response } = ended;
  if (job.status === 'failed') throw new OpenAiError(400, { message: 'Cannot cancel a failed response.' });
  if (response?.status === 'incomplete') {
    throw new OpenAiError(400, { message: 'Cannot cancel a response in terminal state.' });
  }
  if (request['stream'] === true) {
    throw new OpenAiError(400, { message: 'Cannot cancel a completed response.' });
  }
  return { status: 200, body: responseObject(ended) };
}

async function inspect(queue: TenantQueue, params: RouteInput['params']): Promise<JobDetail> {
  const jobId = jobIdOf(idOf(params));
  if (jobId !== undefined) {
    try {
      return await queue.inspect(jobId);
    } catch (error: unknown) {
      if (!(error instanceof QueueError) || error.code !== 'job_not_found') throw error;
    }
  }
  throw new OpenAiError(404, { message: `Response with id '${idOf(params).slice(0, 100)}' not found.` });
}

function startingAfter(query: RouteInput['query']): number {
  const text = query['starting_after'];
  if (text === undefined) return -1;
  if (typeof text === 'string' && /^\d{1,15}$/.test(text)) return Number(text);
  throw new OpenAiError(400, {
    message: `Invalid type for 'starting_after': expected a whole number.`,
    param: 'starting_after',
    code: 'invalid_type',
  });
}

function idOf(params: RouteInput['params']): string {
  return params['id'] ?? '';
}
