import { z } from 'zod';
import { COMPLETION_WINDOWS } from './completion-window.ts';
import { JOB_STATUSES } from './job.ts';
import { count, jobCost, jobError, responseCost, usage } from './view-parts.ts';

/**
 * The one definition of a job's view: the types below come from these schemas, and so does
 * `/openapi.json`. A file that needs only the types imports them with `import type`, which costs nothing: the
 * client must not load zod. Editors show no comment for a field that zod infers, so the build writes the types
 * out with the descriptions (scripts/hover-docs.mjs).
 */

/** Times are ISO 8601. */
const time = z.iso.datetime();
/** A duration in milliseconds. */
const durationMs = z.number().min(0);

const jobBase = {
  id: z.string().describe('The job’s id, which every door takes.'),
  model: z.string().describe('The model that the caller asked for.'),
  tenant: z
    .string()
    .nullable()
    .describe(
      'The tenant whose API key enqueued the job. null: it belongs to no tenant; once there are keys, ' +
        'only an admin sees it.',
    ),
  question: z.string().describe('The first 100 characters of the question, then `...` when there is more.'),
  metadata: z
    .record(z.string(), z.string())
    .describe(
      'The pairs that the caller gave, at most 16 with keys of up to 64 and values of up to 512 characters. `agent` is ' +
        'the program that asked over MCP. Empty for a job of another BullMQ client.',
    ),
  created_at: time.describe('When the job was enqueued.'),
  needed_by: time.nullable().describe('When the caller needs the answer; null: it did not say so.'),
  completion_window: z
    .enum(COMPLETION_WINDOWS)
    .nullable()
    .describe(
      'How long the upstream may take for the last response that was bought, or for the one that the request asks ' +
        'for. null: nothing was bought and none asked for, or it asks for one that this queue does not know.',
    ),
  attempt: count.describe('The attempt that runs, or the last one that ran; 0 before the first.'),
  max_attempts: count.describe('The largest number of attempts, the first included.'),
  purchases: count.describe(
    'Responses known to be bought for the job, including those before a retry by hand.',
  ),
  uncertain_purchases: count.describe(
    'Create requests whose outcome is unknown and stays unknown. Each may be one more purchase.',
  ),
  ...jobCost,
  simulated: z
    .boolean()
    .describe('Whether the last response for the job came from the simulator, which costs nothing.'),
};

const upstreamId = z
  .string()
  .nullable()
  .describe('The id of the response at the upstream; null until the upstream has given one.');

/** What a response reports about itself, in the view of a completed job and in its result. */
const responseFacts = {
  ...responseCost,
  simulated: z
    .boolean()
    .describe('Whether the simulator answered and no model was asked. `cost_usd` is then 0.'),
  service_tier: z
    .string()
    .nullable()
    .describe('The tier that served the response, as the upstream reports it; null: it did not.'),
  upstream_model: z.string().describe('The model that answered, as the upstream names it.'),
  fallback_from: z
    .string()
    .nullable()
    .describe(
      'The upstream model that was the first choice but no longer exists, so that a fallback answered. ' +
        'null: the first choice answered.',
    ),
  fallback_extra_usd: z
    .number()
    .nullable()
    .describe(
      'US dollars that the answer of the fallback costs more than the same tokens of `fallback_from` would; ' +
        'negative: less. null: no fallback answered, the answer is simulated, or the usage or one of the two prices is unknown.',
    ),
  incomplete_reason: z
    .string()
    .nullable()
    .describe('Why the upstream stopped early (`max_output_tokens`, `content_filter`, …); null: it did not.'),
  refusal: z.string().nullable().describe('The model’s words when it refused to answer; null: it did not.'),
};

const resultSummary = z.strictObject({
  ...responseFacts,
  answer_preview: z
    .string()
    .nullable()
    .describe('The first 500 characters of the answer; null: there is no answer.'),
});

const finished = {
  ...jobBase,
  started_at: time.nullable().describe('null: the job ended before its first start.'),
  finished_at: time.describe('When the job ended.'),
  duration_ms: durationMs.describe('From the first start to the end.'),
  upstream_id: upstreamId,
};

const waitingJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('waiting').describe('The job waits for its turn.'),
    waiting_for: z.string().describe('Why the job does not run yet.'),
    position: z
      .int()
      .min(1)
      .nullable()
      .describe(
        'The job’s rank in the fair queue; 1 is next. null: it is just entering or leaving the queue.',
      ),
    eta_ms: count
      .nullable()
      .describe('Milliseconds until the answer is expected; null: too little is known for an estimate.'),
    eta_basis: z.string().nullable().describe('What the estimate is based on.'),
  })
  .meta({ id: 'WaitingJob' });

const delayedJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('delayed').describe('The job waits for a time.'),
    waiting_for: z.string().describe('Why the job does not run yet.'),
    due_at: time.describe('When the job becomes `waiting`.'),
  })
  .meta({ id: 'DelayedJob' });

const activeJob = z
  .strictObject({
    ...jobBase,
    status: z.literal('active').describe('A worker holds the job.'),
    started_at: time.describe('When the job started for the first time.'),
    duration_ms: durationMs.describe('From the first start until now.'),
    upstream_id: upstreamId,
    progress: z
      .strictObject({
        upstream_status: z
          .string()
          .nullable()
          .describe(
            'The response’s last known status at the upstream (`queued`, `in_progress`); null: none is known.',
          ),
        output_characters: count.describe(
          'Length of the answer so far. A job that is not streamed knows it only at the end.',
        ),
        seen_at: time
          .nullable()
          .describe(
            'When the upstream last sent an event of the response or answered a lookup; null: not yet.',
          ),
      })
      .describe('How far the answer has come.'),
    cancelling: z.boolean().describe('A cancel was requested, and the worker has not confirmed it yet.'),
  })
  .meta({ id: 'ActiveJob' });

const completedJob = z
  .strictObject({
    ...finished,
    status: z.literal('completed').describe('The job has a result.'),
    result: resultSummary.describe('The result without its whole text, which `GET /jobs/:id/result` has.'),
  })
  .meta({ id: 'CompletedJob' });

const failedJob = z
  .strictObject({
    ...finished,
    status: z.literal('failed').describe('The job has failed for good, unless it is retried by hand.'),
    error: jobError.describe('Why the job failed.'),
    usage: usage.nullable().describe('What the last response used, where the upstream reported it.'),
  })
  .meta({ id: 'FailedJob' });

const cancelledJob = z
  .strictObject({
    ...finished,
    status: z.literal('cancelled').describe('The job was stopped on purpose.'),
    usage: usage.nullable().describe('What was used until the cancel, where the upstream reported it.'),
  })
  .meta({ id: 'CancelledJob' });

export const jobView = z
  .discriminatedUnion('status', [waitingJob, delayedJob, activeJob, completedJob, failedJob, cancelledJob])
  .meta({
    id: 'Job',
    description: `A job as it stands. Its \`status\` (${JOB_STATUSES.join(', ')}) tells which fields it has.`,
  });

export const jobResult = z
  .strictObject({
    ...responseFacts,
    answer: z
      .string()
      .nullable()
      .describe(
        'The whole text of the answer. null: there is none, because the model refused (`refusal`), was stopped before ' +
          'its first word (`incomplete_reason`), or said nothing. It is empty when the model only called tools.',
      ),
    model: z.string().describe('The model that the caller asked for.'),
    response: z
      .record(z.string(), z.unknown())
      .describe(
        'The Responses API object as the upstream sent it. What it lacks of the streamed output is filled in.',
      ),
  })
  .meta({ id: 'JobResult' });

export const jobPage = z
  .strictObject({
    jobs: z.array(jobView).describe('The jobs of the page.'),
    next_cursor: z
      .string()
      .nullable()
      .describe('Pass it back as `cursor` to read on; null on the last page.'),
    searched: z
      .strictObject({
        jobs: count.describe('How many jobs the call has looked at.'),
        back_to: time
          .nullable()
          .describe(
            'When the oldest of them was created; null: the search has reached the end, or is one for a part of an ' +
              'id, which goes through jobs in no order.',
          ),
        too_large: count
          .optional()
          .describe(
            'How many of them have more than 256 KB of data. Of their questions only the first 100 characters were ' +
              'looked through. Absent without `q`.',
          ),
        excerpts: z
          .record(z.string(), z.string())
          .optional()
          .describe(
            'The text around the match, by the id of the job, where the first 100 characters of the question do not ' +
              'have it. Absent without `q`.',
          ),
      })
      .optional()
      .describe('How far the search for `q` or `id` came; absent without both.'),
  })
  .meta({ id: 'JobPage' });

export type Usage = z.infer<typeof usage>;
/** JobError says why a job failed. */
export type JobError = z.infer<typeof jobError>;
export type ResultSummary = z.infer<typeof resultSummary>;

export type WaitingJob = z.infer<typeof waitingJob>;
export type DelayedJob = z.infer<typeof delayedJob>;
export type ActiveJob = z.infer<typeof activeJob>;
export type CompletedJob = z.infer<typeof completedJob>;
export type FailedJob = z.infer<typeof failedJob>;
export type CancelledJob = z.infer<typeof cancelledJob>;

/** JobView is a job as callers see it. Narrow it by `status`. */
export type JobView = z.infer<typeof jobView>;
export type FinishedJob = CompletedJob | FailedJob | CancelledJob;
export type UncompletedJob = Exclude<JobView, CompletedJob>;

/** JobResult is the whole result of a completed job. */
export type JobResult = z.infer<typeof jobResult>;
/** ResultOutcome is the result of a completed job, or the view of an unfinished, failed or cancelled job. */
export type ResultOutcome =
  | {
      /** The job is completed. */
      status: 'completed';
      /** The whole result. */
      result: JobResult;
    }
  | {
      /** The status of the job, which has no result, or none yet. */
      status: UncompletedJob['status'];
      /** The view of the job. */
      job: UncompletedJob;
    };

export type JobPage = z.infer<typeof jobPage>;
