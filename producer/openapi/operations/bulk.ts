import { z } from 'zod';
import { jobRequest } from '../../../src/job/request.ts';
import { jobView } from '../../../src/job/view.ts';
import { noQuery } from '../../routes/job-queries.ts';
import { waitingJobExample } from '../examples.ts';
import { ackHeader, type Operation } from '../operation.ts';
import { problem } from '../problem-schema.ts';

const MOST_IN_BULK = 1000;

const keyed = {
  idempotency_key: z
    .string()
    .optional()
    .describe(
      'Works like the header `Idempotency-Key` of `POST /jobs`: 1 to 255 printable ASCII characters ' +
        'with no blank at either end.',
    ),
};
const [questionForm, responsesForm] = jobRequest.options;

/** The envelope accepts any value as a job. An invalid job gets a refusal as its own outcome. */
const refused = z.unknown().describe('Any other value is refused, and its outcome says why.');

const outcomes = z
  .strictObject({
    outcomes: z.array(
      z.union([
        z.strictObject({
          status: z
            .literal([200, 202])
            .describe('202: the job is new. 200: the `idempotency_key` belongs to this existing job.'),
          job: jobView,
        }),
        z.strictObject({ status: z.int().min(400).max(499), problem }),
      ]),
    ),
  })
  .meta({ id: 'BulkOutcomes', description: 'The outcome of each job, in the order of the request.' });

export const enqueueBulk: Operation = {
  id: 'enqueueBulk',
  tag: 'jobs',
  summary: 'Enqueue up to 1,000 jobs at once',
  description:
    'Each job is what `POST /jobs` takes, and is accepted or refused by itself. `stream` is false by ' +
    'default. When each job has an `idempotency_key`, the whole call can be repeated after a lost ' +
    'answer without buying anything twice.',
  query: noQuery,
  body: {
    schema: z
      .strictObject({
        jobs: z
          .array(z.union([questionForm.extend(keyed), responsesForm.extend(keyed), refused]))
          .max(MOST_IN_BULK),
      })
      .meta({ id: 'Bulk' }),
    examples: {
      two: {
        jobs: [
          { question: 'Why is the sky blue?', idempotency_key: 'sky-1' },
          { request: { input: 'And at night?' } },
        ],
      },
    },
  },
  answers: {
    207: {
      description: 'One outcome for each job',
      content: {
        schema: outcomes,
        examples: { taken: { outcomes: [{ status: 202, job: waitingJobExample }] } },
      },
      // The weakest of all jobs. Without an accepted job there is none.
      headers: ackHeader.partial(),
    },
  },
  problems: ['redis_unavailable'],
};
