import { z } from 'zod';
import { JOB_STATUSES } from '../../src/job/job.ts';

/** What comes out, field by field; a test of types holds each against the interface of the same name in src/job/job.ts. */

const time = z.iso.datetime();
const count = z.int().min(0);

const usage = z
  .strictObject({
    input_tokens: count,
    cached_tokens: count.describe('Read from the upstream’s cache; part of `input_tokens`.'),
    cache_write_tokens: count.describe('Written to the upstream’s cache; part of `input_tokens`.'),
    output_tokens: count,
    reasoning_tokens: count.describe('Part of `output_tokens`.'),
    total_tokens: count,
  })
  .meta({ id: 'Usage', description: 'Tokens as the upstream counted them.' });

const costUsd = z
  .number()
  .min(0)
  .nullable()
  .describe(
    'US dollars for this response, by its model and service tier; null: the upstream did not say what it used, or nobody knows the price.',
  );
const serviceTier = z
  .string()
  .nullable()
  .describe('The tier it was served in, as the upstream says; null: it did not say.');

const jobBase = {
  id: z.string(),
  model: z.string().describe('The model that was asked for.'),
  tenant: z.string().nullable().describe('Whose API key enqueued it; null: nobody’s.'),
  question: z.string().describe('The first 100 characters of the question, then `...` when there is more.'),
  created_at: time,
  attempt: count.describe('The attempt that runs, or the last one that ran; 0 before the first.'),
  max_attempts: count,
  purchases: count.describe('Responses known to be bought for it, retries by hand included.'),
  uncertain_purchases: count.describe(
    'Create requests that were sent and of which nobody knows whether they were bought: each may be one more purchase.',
  ),
  cost_usd: z
    .number()
    .min(0)
    .nullable()
    .describe(
      'US dollars known to be spent on it, earlier attempts and retries by hand included; null: nothing is known.',
    ),
};

const durationMs = z.number().min(0).describe('From the first start until the end, or until now.');
const upstreamId = z.string().nullable().describe('The id of the response at the upstream.');

const finished = {
  ...jobBase,
  started_at: time.nullable().describe('Null: it ended before its first start.'),
  finished_at: time,
  duration_ms: durationMs,
  upstream_id: upstreamId,
};

const fallbackFrom = z
  .string()
  .nullable()
  .describe(
    'The upstream model that was the first choice, and is gone: one of the model’s fallbacks has answered. Null: it was the first.',
  );
const incompleteReason = z
  .string()
  .nullable()
  .describe('Why the upstream stopped early (`max_output_tokens`, `content_filter`, …); null: it did not.');

const waitingJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('waiting'),
    waiting_for: z.string().meta({ description: 'Why it does not run yet' }),
    position: z.int().min(1).nullable().meta({
      description: 'Its place in the line; 1 is next. null: on its way into the line or out of it',
    }),
    eta_ms: z.int().min(0).nullable().meta({
      description: 'Milliseconds until its answer is expected; null: too little is known',
    }),
    eta_basis: z.string().nullable().meta({ description: 'What the estimate is taken from' }),
  })
  .meta({ id: 'WaitingJob' });

const delayedJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('delayed'),
    waiting_for: z.string(),
    due_at: time.describe('When it becomes `waiting`.'),
  })
  .meta({ id: 'DelayedJob' });

const activeJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('active'),
    started_at: time,
    duration_ms: durationMs,
    upstream_id: upstreamId,
    progress: z.strictObject({
      upstream_status: z.string().nullable().describe('What the upstream last said of the response.'),
      output_characters: count.describe(
        'Length of the answer so far; only a streamed job knows it before the end.',
      ),
      seen_at: time.nullable().describe('The last sign of life from the upstream.'),
    }),
    cancelling: z.boolean().describe('Somebody asked to cancel, and the worker has not yet confirmed it.'),
  })
  .meta({ id: 'ActiveJob' });

const completedJob = z
  .strictObject({
    ...finished,
    status: z.literal('completed'),
    result: z.strictObject({
      usage: usage.nullable(),
      cost_usd: costUsd,
      service_tier: serviceTier,
      answer_preview: z.string().describe('The first 500 characters of the answer.'),
      upstream_model: z.string(),
      fallback_from: fallbackFrom,
      incomplete_reason: incompleteReason,
    }),
  })
  .meta({ id: 'CompletedJob' });

const failedJob = z
  .strictObject({
    ...finished,
    status: z.literal('failed'),
    error: z.strictObject({
      code: z.string().describe('Stable; docs/ERRORS.md lists all.'),
      message: z.string(),
      retryable: z.boolean().describe('Whether the same request could have worked at another time.'),
    }),
    usage: usage.nullable().describe('What its last response used, where the upstream said it.'),
  })
  .meta({ id: 'FailedJob' });

const cancelledJob = z
  .strictObject({
    ...finished,
    status: z.literal('cancelled'),
    usage: usage.nullable().describe('What was used until the cancel, where the upstream said it.'),
  })
  .meta({ id: 'CancelledJob' });

export const jobView = z
  .discriminatedUnion('status', [waitingJob, delayedJob, activeJob, completedJob, failedJob, cancelledJob])
  .meta({
    id: 'Job',
    description: `A job as it stands; \`status\` (${JOB_STATUSES.join(', ')}) tells which fields there are.`,
  });

export const jobResult = z
  .strictObject({
    answer: z.string().describe('The text of the answer, whole.'),
    usage: usage.nullable(),
    cost_usd: costUsd,
    service_tier: serviceTier,
    model: z.string().describe('The model that was asked for.'),
    upstream_model: z.string().describe('The model that answered, as the upstream names it.'),
    fallback_from: fallbackFrom,
    incomplete_reason: incompleteReason,
    response: z.record(z.string(), z.unknown()).describe('The Responses API object, untouched.'),
  })
  .meta({ id: 'JobResult' });

export const jobPage = z
  .strictObject({
    jobs: z.array(jobView),
    next_cursor: z.string().nullable().describe('Pass it back as `cursor` to read on; null at the end.'),
  })
  .meta({ id: 'JobPage' });
