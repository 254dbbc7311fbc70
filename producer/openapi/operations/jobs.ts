import { z } from 'zod';
import { jobRequest } from '../../../src/job/request.ts';
import { jobPage, jobResult, jobView } from '../../../src/job/view.ts';
import { enqueueQuery, listQuery, noQuery, waitQuery } from '../../routes/job-queries.ts';
import { completedJobExample, resultExample, waitingJobExample } from '../examples.ts';
import { type Answer, ackHeader, type Operation } from '../operation.ts';
import { quote, quoteExample } from '../quote-schema.ts';

const job = (description: string, example?: unknown): Answer => ({
  description,
  content: { schema: jobView, ...(example !== undefined && { examples: { job: example } }) },
});
const location = z.object({
  location: z.string().describe('The path of the job.'),
  ...ackHeader.shape,
});

export const enqueueJob: Operation = {
  id: 'enqueueJob',
  tag: 'jobs',
  summary: 'Enqueue a job',
  description:
    'Takes a `question` in plain words, or `request`: any body of OpenAI’s Responses API. The answer ' +
    'comes when the job is stored.',
  query: enqueueQuery,
  headers: z.object({
    'idempotency-key': z
      .string()
      .optional()
      .describe(
        '1 to 255 printable ASCII characters. The same request under the same key gives the same job ' +
          'for as long as that job exists.',
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
      description:
        'The job, if it finished within `wait`, or the existing job of the idempotency key; with `quote=1` the quote, ' +
        'without `location`',
      content: {
        schema: z.union([jobView, quote]),
        examples: { job: completedJobExample, quote: quoteExample },
      },
      headers: location.partial(),
    },
    202: { ...job('Enqueued', waitingJobExample), headers: location },
  },
  problems: [
    'unknown_model',
    'idempotency_key_reused',
    'budget_exhausted',
    'too_many_waiting',
    'too_much_stored',
    'storage_full',
    'redis_unavailable',
  ],
};

export const listJobs: Operation = {
  id: 'listJobs',
  tag: 'jobs',
  summary: 'List jobs, newest first',
  description:
    'Lists the jobs of all models. A search stops after 300 ms, so a page may hold fewer jobs than `limit`, or ' +
    'none, although `next_cursor` leads to more.',
  query: listQuery,
  answers: { 200: { description: 'A page', content: { schema: jobPage } } },
  problems: ['redis_unavailable'],
};

export const getJob: Operation = {
  id: 'getJob',
  tag: 'jobs',
  summary: 'Read a job',
  query: noQuery,
  answers: { 200: job('The job') },
  problems: ['job_not_found', 'redis_unavailable'],
};

export const getResult: Operation = {
  id: 'getResult',
  tag: 'jobs',
  summary: 'Read the result of a job',
  query: waitQuery,
  answers: {
    200: {
      description: 'The whole result of a completed job',
      content: { schema: jobResult, examples: { result: resultExample } },
    },
    202: job('The job, which is not finished yet'),
  },
  problems: ['job_not_found', 'job_failed', 'job_cancelled', 'answer_damaged', 'redis_unavailable'],
};

export const cancelJob: Operation = {
  id: 'cancelJob',
  tag: 'jobs',
  summary: 'Cancel a job',
  description:
    'Cancels the response at the upstream too, which stops its cost. A cancelled job stays cancelled.',
  query: noQuery,
  answers: {
    200: job('The job is cancelled, now or by an earlier call'),
    202: job('A worker is running the job and cancels it within a second'),
  },
  problems: ['job_not_found', 'job_finished', 'redis_unavailable'],
};

export const retryJob: Operation = {
  id: 'retryJob',
  tag: 'jobs',
  summary: 'Run a failed or cancelled job again',
  description: 'The job keeps its id, and its answer is bought again.',
  query: noQuery,
  answers: { 202: job('Waiting again') },
  problems: ['job_not_found', 'job_not_finished', 'job_finished', 'too_many_waiting', 'redis_unavailable'],
};

export const deleteJob: Operation = {
  id: 'deleteJob',
  tag: 'jobs',
  summary: 'Delete a finished job',
  description: 'A worker then deletes the responses of the job at the upstream, as best it can.',
  query: noQuery,
  answers: { 204: { description: 'Deleted' } },
  problems: ['job_not_found', 'job_not_finished', 'redis_unavailable'],
};
