import type { Flaw } from '../errors/problem.ts';
import type { Action, ActionKind, Selection } from './action.ts';
import type { JobEvent } from './event.ts';
import type { TraceContext } from './fields/trace-context.ts';
import type { JobStatus } from './job.ts';
import type { BulkRequest, JobRequest } from './request.ts';
import type { JobPage, JobView, ResultOutcome } from './view.ts';

/** CallOptions are taken by every method of a JobQueue. */
export interface CallOptions {
  /** Ends the call, not the job: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** BulkOptions are taken by the methods that enqueue. */
export interface BulkOptions extends CallOptions {
  /**
   * The caller's span of a distributed trace, as the headers of W3C Trace Context name it: the spans of the
   * attempts link to it. Default: the span of OpenTelemetry that is active, if the program has its SDK and, for
   * `O3Client`, an instrumentation of `fetch`.
   */
  trace?: TraceContext | undefined;
}

/** EnqueueOptions say how a request becomes a job. */
export interface EnqueueOptions extends BulkOptions {
  /**
   * The caller's name for the request, of 1 to 255 printable ASCII characters with no blank at either end.
   * Within one tenant the same key and request give the same job for as long as that job exists. Default:
   * none; each call enqueues another job.
   */
  idempotencyKey?: string | undefined;
}

/** WaitOptions bound a wait for the end of a job. */
export interface WaitOptions extends CallOptions {
  /**
   * The longest wait, in milliseconds. `Infinity` waits for the end; 0, negative numbers and NaN do not wait.
   */
  timeoutMs?: number | undefined;
}

/** EventOptions say where a stream of events begins. */
export interface EventOptions extends CallOptions {
  /** The `number` of the last event that the caller has seen. Default 0: the stream begins with the first. */
  after?: number | undefined;
}

/** JobFilter selects jobs; without fields it selects all. */
export interface JobFilter {
  /** The status that the jobs have. */
  status?: JobStatus | undefined;
  /** The model that the callers asked for. */
  model?: string | undefined;
  /** The tenant whose jobs are selected, for an admin. Default: all tenants. */
  tenant?: string | undefined;
  /**
   * The text to search for in the question. Upper and lower case count as equal. Of a job with more than 256
   * KB of data only the first 100 characters of the question are looked through.
   */
  q?: string | undefined;
  /** The code with which the jobs have failed, such as `timeout` (docs/ERRORS.md). */
  error?: string | undefined;
  /** The pairs of metadata that the jobs have, each exactly. Jobs of other BullMQ clients are not found. */
  metadata?: Readonly<Record<string, string>> | undefined;
  /** The time in ISO 8601 at or after which the jobs were created. */
  since?: string | undefined;
  /** The time in ISO 8601 before which the jobs were created. */
  until?: string | undefined;
}

/** JobQuery selects the jobs to list; without fields it selects all. */
export interface JobQuery extends JobFilter {
  /**
   * The beginning or the end of the id; the `job_` at its beginning may be left out. The list ends with
   * `limit` jobs. It has a `next_cursor` only if the time of the call ended before all ids were looked at.
   */
  id?: string | undefined;
  /** The most jobs on a page, 1 to 100. Default 20. */
  limit?: number | undefined;
  /** The `next_cursor` of the page before, to continue after that page. */
  cursor?: string | undefined;
}

/**
 * BulkOutcome is the outcome of one request of a bulk. `isNew` is false if the job of the request's
 * idempotency key already existed.
 */
export type BulkOutcome<Failure extends JobQueueError = JobQueueError> =
  | { ok: true; job: JobView; isNew: boolean }
  | { ok: false; error: Failure };

/**
 * JobQueueError is how a JobQueue refuses a call: an `O3ClientError` over HTTP, a `QueueError` directly on
 * Redis.
 */
export interface JobQueueError extends Error {
  /** One of the codes of docs/ERRORS.md; the same in both kinds of error. */
  readonly code: string;
  /** For `invalid_request`: every field that was wrong. */
  readonly flaws: readonly Flaw[];
  /** How long to wait before another try, in milliseconds; undefined: unknown. */
  readonly retryAfterMs: number | undefined;
}

/**
 * JobActions cancels, retries or deletes all jobs that match a filter. An action is carried out by producers
 * and workers, so it goes on when the process that has started it ends. It touches each job once.
 */
export interface JobActions {
  /** Counts the jobs that an action would touch, and what they have cost so far. */
  count(kind: ActionKind, filter: JobFilter, options?: CallOptions): Promise<Selection>;
  /**
   * Starts an action over the jobs that match the filter now. A retry without a status retries failed jobs
   * only. Watch it with `get`.
   * @throws {JobQueueError} `too_many_actions`
   */
  start(kind: ActionKind, filter: JobFilter, options?: CallOptions): Promise<Action>;
  /**
   * Reads how far an action has come. It has ended when its status is `done` or `stopped`.
   * @throws {JobQueueError} `action_not_found`
   */
  get(id: string, options?: CallOptions): Promise<Action>;
  /** Lists the newest actions, at most 100. */
  list(options?: CallOptions): Promise<Action[]>;
  /**
   * Tells an action to stop, which it does within a second. What it has done stays done.
   * @throws {JobQueueError} `action_not_found`
   */
  stop(id: string, options?: CallOptions): Promise<Action>;
}

/**
 * JobQueue has the methods with which an app uses jobs. `O3Client` calls them over HTTP, `O3Queue` directly
 * on Redis, with the same results; one test suite runs against both. A failed job is data, never an error.
 *
 * @throws {JobQueueError} when the queue refuses a call; with `job_not_found` from every method that takes an
 * id. Every method may also throw the reason of the call's signal.
 */
export interface JobQueue {
  /**
   * Enqueues a request. With an idempotency key the call may be repeated: a repeated call returns the job in
   * its current state.
   */
  enqueue(request: JobRequest, options?: EnqueueOptions): Promise<JobView>;
  /**
   * Enqueues up to 1,000 requests. The outcomes are in the order of the requests; an invalid request does not
   * affect the others.
   */
  enqueueBulk(requests: readonly BulkRequest[], options?: BulkOptions): Promise<BulkOutcome[]>;
  /** Reads a job in its current state. */
  get(id: string, options?: CallOptions): Promise<JobView>;
  /**
   * Reads a job's result. By default it does not wait. If the job is not completed, the outcome has the job
   * instead of a result.
   */
  result(id: string, options?: WaitOptions): Promise<ResultOutcome>;
  /**
   * Waits until a job has ended, by default without a limit, and returns the job in its current state, also
   * when the time is up first.
   */
  wait(id: string, options?: WaitOptions): Promise<JobView>;
  /**
   * Follows a job to its end: the last event is `done`. A reader that begins after the last event gets no
   * event. A restart or a crash in between loses no event. The iterator throws `job_not_found` when the job
   * is deleted meanwhile.
   */
  events(id: string, options?: EventOptions): AsyncGenerator<JobEvent, void, undefined>;
  /**
   * Cancels a job. The returned job is `cancelled`, or it is `active` with `cancelling: true` and becomes
   * `cancelled` within a second. A job that is already cancelled stays cancelled.
   * @throws {JobQueueError} `job_finished` for a completed or failed job.
   */
  cancel(id: string, options?: CallOptions): Promise<JobView>;
  /**
   * Runs a failed or cancelled job again from its first attempt, with a new purchase.
   * @throws {JobQueueError} `job_finished` for a completed job, `job_not_finished` for an unfinished one.
   */
  retry(id: string, options?: CallOptions): Promise<JobView>;
  /**
   * Deletes a finished job and its result.
   * @throws {JobQueueError} `job_not_finished`
   */
  delete(id: string, options?: CallOptions): Promise<void>;
  /** Reads a page of jobs, newest first. A page with a `next_cursor` is not the last, however short it is. */
  list(query?: JobQuery, options?: CallOptions): Promise<JobPage>;
  /** Long actions over all jobs that match a filter. */
  readonly actions: JobActions;
  /** Iterates over the jobs of all pages, newest first. */
  jobs(query?: JobQuery, options?: CallOptions): AsyncGenerator<JobView, void, undefined>;
}

const LARGEST_PAGE = 100;

/** jobsOfAllPages implements `JobQueue.jobs` with `JobQueue.list`. */
export async function* jobsOfAllPages(
  list: (query: JobQuery) => Promise<JobPage>,
  query: JobQuery,
): AsyncGenerator<JobView, void, undefined> {
  let page = await list({ limit: LARGEST_PAGE, ...query });
  yield* page.jobs;
  while (page.next_cursor !== null) {
    page = await list({ limit: LARGEST_PAGE, ...query, cursor: page.next_cursor });
    yield* page.jobs;
  }
}
