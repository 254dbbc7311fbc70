/**
 * Glossary. Each word has this one meaning in code, documents and messages.
 *
 * - **job**: one unit of work, a row on the board. **request**: what the caller sent. **result**: what comes back.
 * - **model**: the name a caller asks for. **upstream**: the server that answers. **upstream model**: its name there.
 * - **tenant**: the owner of an API key, and of the jobs enqueued with it.
 * - **run**: a job from its enqueueing, or from a retry by hand, until its final status.
 * - **attempt**: one try of a run, counted from 1. **retry**: a further attempt, after a failure or by hand.
 * - **purchase**: a create request that the upstream accepted: what costs money.
 * - **uncertain purchase**: a create request whose outcome is unknown and stays unknown.
 * - **fencing token**: the random id of one create request, which tells a late answer from a current one.
 * - **adopt**: follow a response that already runs at the upstream, instead of buying another.
 * - **release**: give an active job back to the queue, uncharged, because its worker stops.
 * - **fair queue**: the jobs that wait for their turn, ordered by start-time fair queueing over tenants.
 * - **position**: a waiting job's rank in the fair queue; 1 is next.
 * - **reservation**: what a job has taken of the quota before it starts. **lease**: how long that holds unrenewed.
 * - **pause**: nothing of a model or a tenant starts, for a stated reason, until a time or a resume by hand.
 * - **circuit breaker**: the pause of a model whose upstream is down, with one job at a time as a probe.
 * - **event log**: what the upstream streamed for a job, kept in Redis. **replay**: the log read from its beginning.
 * - **outbox**: finished jobs whose webhook is still to be sent, written together with the final status.
 * - **idempotency key**: the caller's name for a request; it becomes one job however often it is sent.
 */

/**
 * - `waiting`: enqueued, retried, released or recovered; taken by a worker, or cancelled.
 * - `delayed`: enqueued with a delay, or between two attempts; becomes `waiting` at its time, or is cancelled.
 * - `active`: held by a worker; completes, fails, is cancelled, goes back to `delayed` for its next attempt, or back to
 *   `waiting` when its worker stops or dies.
 * - `completed`: has a result. For ever, until it is forgotten.
 * - `failed`: a terminal failure, or its attempts are exhausted. Only a retry by hand takes it out.
 * - `cancelled`: stopped on purpose. Only a retry by hand takes it out.
 */
export const JOB_STATUSES = ['waiting', 'delayed', 'active', 'completed', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export const FINISHED_STATUSES = ['completed', 'failed', 'cancelled'] as const;
export type FinishedStatus = (typeof FINISHED_STATUSES)[number];

export function isFinished(status: JobStatus): status is FinishedStatus {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** The statuses of the first plan's seven functions. */
export type PlanStatus = 'pending' | 'running' | 'completed' | 'error' | 'cancelled';

/**
 * One row a status: what BullMQ calls it, what the plan's functions call it, what OpenAI's Responses API calls it.
 * A cancelled job is `failed` in BullMQ, which has no state of its own for it; the record of the run tells them apart.
 */
export const STATUS_TABLE: Record<
  JobStatus,
  { bullmq: readonly string[]; plan: PlanStatus; responses: string }
> = {
  waiting: { bullmq: ['waiting', 'prioritized', 'waiting-children'], plan: 'pending', responses: 'queued' },
  delayed: { bullmq: ['delayed'], plan: 'pending', responses: 'queued' },
  active: { bullmq: ['active'], plan: 'running', responses: 'in_progress' },
  completed: { bullmq: ['completed'], plan: 'completed', responses: 'completed' },
  failed: { bullmq: ['failed'], plan: 'error', responses: 'failed' },
  cancelled: { bullmq: ['failed'], plan: 'cancelled', responses: 'cancelled' },
};

/** Tokens as the upstream counted them. `output_tokens` includes the reasoning, `input_tokens` those read from its cache and written to it. */
export interface Usage {
  input_tokens: number;
  cached_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  total_tokens: number;
}

/** Why a job failed. `code` is one of docs/ERRORS.md. */
export interface JobError {
  code: string;
  message: string;
  /** Whether the same request could have worked at another time; a retry by hand is allowed either way. */
  retryable: boolean;
}

interface JobBase {
  id: string;
  model: string;
  /** Whose API key enqueued it; null: nobody's, which only an admin sees once there are keys. */
  tenant: string | null;
  /** The first 100 characters of the question, then `...` when there is more. */
  question: string;
  /** ISO 8601, like every time here. */
  created_at: string;
  /** The attempt that runs, or the last one that ran; 0 before the first. */
  attempt: number;
  max_attempts: number;
  /** Responses known to be bought for it, retries by hand included. */
  purchases: number;
  /** Create requests that were sent and of which nobody knows whether they were bought: each may be one more purchase. */
  uncertain_purchases: number;
  /**
   * US dollars known to be spent on it, earlier attempts and retries by hand included. null: nothing is known yet, or no price. Less than all where the upstream did not say what it
   * used, as it never does for a cancelled response.
   */
  cost_usd: number | null;
}

/** Times of a job that has been started at least once. */
interface Started {
  started_at: string;
  /** From the first start until the end, or until now. */
  duration_ms: number;
}

/** Times of a finished job; one that was cancelled or refused before its first start has no `started_at`. */
interface Finished {
  started_at: string | null;
  finished_at: string;
  duration_ms: number;
}

export interface WaitingJob extends JobBase {
  status: 'waiting';
  /** Why it does not run yet. */
  waiting_for: string;
  /** Its place in the line, 1 is next; null: it is on its way into the line or out of it. */
  position: number | null;
  /** Milliseconds until its answer is expected; null: too little is known. */
  eta_ms: number | null;
  /** What that is taken from, in words. */
  eta_basis: string | null;
}

export interface DelayedJob extends JobBase {
  status: 'delayed';
  waiting_for: string;
  /** When it becomes `waiting`. */
  due_at: string;
}

export interface ActiveJob extends JobBase, Started {
  status: 'active';
  /** The id of the response at the upstream, as soon as there is one. */
  upstream_id: string | null;
  progress: {
    /** What the upstream last said of the response: `queued`, `in_progress`; null before its first word. */
    upstream_status: string | null;
    /** Length of the answer so far; only a streamed job knows it before the end. */
    output_characters: number;
    /** The last event of the response, or the last lookup that was answered; null before the first. */
    seen_at: string | null;
  };
  /** True once somebody asked to cancel and the worker has not yet confirmed it. */
  cancelling: boolean;
}

export interface ResultSummary {
  usage: Usage | null;
  /** US dollars for this response, by the price of its model in its service tier; null: the upstream did not say what it used, or nobody knows the price. */
  cost_usd: number | null;
  /** The tier it was served in, as the upstream says; null: it did not say. */
  service_tier: string | null;
  /** The first 500 characters of the answer. */
  answer_preview: string;
  upstream_model: string;
  /** The upstream model that the job would have been sent to, had it not been gone: a fallback has answered. null: it was the first choice. */
  fallback_from: string | null;
  /** Why the upstream stopped early (`max_output_tokens`, `content_filter`, …); null when it did not. */
  incomplete_reason: string | null;
}

export interface CompletedJob extends JobBase, Finished {
  status: 'completed';
  upstream_id: string | null;
  result: ResultSummary;
}

export interface FailedJob extends JobBase, Finished {
  status: 'failed';
  upstream_id: string | null;
  error: JobError;
  /** What its last response used, where the upstream said it. */
  usage: Usage | null;
}

export interface CancelledJob extends JobBase, Finished {
  status: 'cancelled';
  upstream_id: string | null;
  /** What was used until the cancel, where the upstream said it. */
  usage: Usage | null;
}

/** What the world sees of a job. Narrow it by `status`. */
export type JobView = WaitingJob | DelayedJob | ActiveJob | CompletedJob | FailedJob | CancelledJob;
export type FinishedJob = CompletedJob | FailedJob | CancelledJob;

export function isFinishedJob(job: JobView): job is FinishedJob {
  return isFinished(job.status);
}

/** The whole result of a completed job. */
export interface JobResult {
  answer: string;
  usage: Usage | null;
  /** US dollars for this response; null: unknown. */
  cost_usd: number | null;
  /** The tier it was served in, as the upstream says; null: it did not say. */
  service_tier: string | null;
  /** The model that was asked for. */
  model: string;
  /** The model that answered, as the upstream names it. */
  upstream_model: string;
  /** The upstream model that the job would have been sent to, had it not been gone: a fallback has answered. null: it was the first choice. */
  fallback_from: string | null;
  incomplete_reason: string | null;
  /** The Responses API object, untouched. */
  response: Record<string, unknown>;
}

export type UncompletedJob = Exclude<JobView, CompletedJob>;

/** The result where there is one, else the job: not finished yet, failed or cancelled. */
export type ResultOutcome =
  | { status: 'completed'; result: JobResult }
  | { status: UncompletedJob['status']; job: UncompletedJob };

/** Which jobs to list; all of them when nothing is given. */
export interface JobQuery {
  status?: JobStatus | undefined;
  model?: string | undefined;
  /** For an admin: the jobs of this one only. */
  tenant?: string | undefined;
  /** Looked for in the first 100 characters of the question, whatever the case. */
  q?: string | undefined;
  /** Jobs a page, 1 to 100. Default 20. */
  limit?: number | undefined;
  /** `next_cursor` of the page before. */
  cursor?: string | undefined;
}

export interface JobPage {
  jobs: JobView[];
  /** Pass it back to read on; null at the end. */
  next_cursor: string | null;
}

/** Cuts by characters as people count them, so that no emoji is torn in two. */
export function preview(text: string, length: number): string {
  // At most two code units a character: a longer slice never matters, and a 10 MB question is not spread into an array.
  const characters = [...text.slice(0, 2 * length + 2)];
  return characters.length > length ? `${characters.slice(0, length).join('')}...` : text;
}
