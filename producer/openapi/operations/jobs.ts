import { z } from 'zod';
import { jobRequest } from '../../../src/job/request.ts';
import { jobPage, jobResult, jobView } from '../../../src/job/view.ts';
import { listQuery, noQuery, waitQuery } from '../../routes/job-queries.ts';
import { completedJobExample, resultExample, waitingJobExample } from '../examples.ts';
import type { Answer, Operation } from '../operation.ts';

const job = (description: string, example?: unknown): Answer => ({
  description,
  content: { schema: jobView, ...(example !== undefined && { examples: { job: example } }) },
});
const location = z.object({ location: z.string().describe('The path of the job.') });

export const enqueueJob: Operation = {
  id: 'enqueueJob',
  tag: 'jobs',
  summary: 'Enqueue a job',
  description:
    'Takes a `question` in plain words, or `request`: any body of OpenAI’s Responses API. The job is stored when the answer comes.',
  query: waitQuery,
  headers: z.object({
    'idempotency-key': z
      .string()
      .optional()
      .describe(
        '1 to 255 printable ASCII characters. The same request under the same key is the same job, until that job is deleted.',
      ),
  }),
  body: {
    schema: jobRequest,
    examples: {
      question: { question: 'Why is the sky blue?', reasoning_effort: 'high' },
      request: {
        request: { input: 'Why is the sky blue?', reasoning: { effort: 'high', summary: 'auto' } },
        timeout_ms: 1_800_000,
      },
    },
  },
  answers: {
    200: {
      ...job('Finished within `wait`, or the job that the key had already', completedJobExample),
      headers: location,
    },
    202: { ...job('Enqueued; it goes on without you', waitingJobExample), headers: location },
  },
  problems: ['unknown_model', 'idempotency_key_reused', 'budget_exhausted', 'redis_unavailable'],
};

export const listJobs: Operation = {
  id: 'listJobs',
  tag: 'jobs',
  summary: 'List jobs, newest first',
  description:
    'Over all models. A search stops after 2,000 jobs that do not match, so that a page may hold fewer jobs than its limit, even none, while `next_cursor` goes on.',
  query: listQuery,
  answers: { 200: { description: 'A page', content: { schema: jobPage } } },
  problems: ['redis_unavailable'],
};

export const getJob: Operation = {
  id: 'getJob',
  tag: 'jobs',
  summary: 'See how a job stands',
  query: noQuery,
  answers: { 200: job('The job') },
  problems: ['job_not_found', 'redis_unavailable'],
};

export const getResult: Operation = {
  id: 'getResult',
  tag: 'jobs',
  summary: 'Collect the result of a job',
  query: waitQuery,
  answers: {
    200: {
      description: 'The whole result of a completed job',
      content: { schema: jobResult, examples: { result: resultExample } },
    },
    202: job('Not finished yet: the job as it stands'),
  },
  problems: ['job_not_found', 'job_failed', 'job_cancelled', 'redis_unavailable'],
};

export const cancelJob: Operation = {
  id: 'cancelJob',
  tag: 'jobs',
  summary: 'Cancel a job',
  description:
    'Stops the spending too: the upstream is told. A cancelled job stays cancelled, whatever still comes.',
  query: noQuery,
  answers: {
    200: job('Cancelled, now or before'),
    202: job('A worker has it: cancelled within a second'),
  },
  problems: ['job_not_found', 'job_finished', 'redis_unavailable'],
};

export const retryJob: Operation = {
  id: 'retryJob',
  tag: 'jobs',
  summary: 'Run a failed or cancelled job again',
  description: 'A fresh purchase, under the same id.',
  query: noQuery,
  answers: { 202: job('Waiting again') },
  problems: ['job_not_found', 'job_not_finished', 'job_finished', 'redis_unavailable'],
};

export const deleteJob: Operation = {
  id: 'deleteJob',
  tag: 'jobs',
  summary: 'Forget a finished job',
  query: noQuery,
  answers: { 204: { description: 'Forgotten' } },
  problems: ['job_not_found', 'job_not_finished', 'redis_unavailable'],
};
