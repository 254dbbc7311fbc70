import { shown } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import type { Action, ActionKind, Selection } from './action.ts';
import type { JobEvent } from './event.ts';
import type { JobStatus } from './job.ts';
import type { BulkRequest, JobRequest } from './request.ts';
import type { JobPage, JobView, ResultOutcome } from './view.ts';

/** CallOptions are taken by every method of a JobQueue. */
export interface CallOptions {
  /** Ends the call, not the job: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** EnqueueOptions say how a request becomes a job. */
export interface EnqueueOptions extends CallOptions {
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
  enqueueBulk(requests: readonly BulkRequest[], options?: CallOptions): Promise<BulkOutcome[]>;
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

/**
 * OptionRules has a check for each option of a method. A check returns what is wrong; undefined: the value is
 * good.
 */
type OptionRules<Options> = Readonly<Record<keyof Options, (value: unknown) => Flaw | undefined>>;

/** CALL_RULES are the rules of CallOptions. */
export const CALL_RULES: OptionRules<CallOptions> = {
  signal: (value) => (isSignal(value) ? undefined : expected('signal', 'an AbortSignal', value)),
};

/** ENQUEUE_RULES are the rules of EnqueueOptions. */
export const ENQUEUE_RULES: OptionRules<EnqueueOptions> = {
  idempotencyKey: idempotencyKeyFlaw,
  ...CALL_RULES,
};

/** WAIT_RULES checks each option of WaitOptions. */
export const WAIT_RULES: OptionRules<WaitOptions> = {
  timeoutMs: (value) =>
    typeof value === 'number' ? undefined : expected('timeoutMs', 'a number of milliseconds', value),
  ...CALL_RULES,
};

/** EVENT_RULES are the rules of EventOptions. */
export const EVENT_RULES: OptionRules<EventOptions> = {
  after: (value) =>
    Number.isInteger(value) && Number(value) >= 0
      ? undefined
      : expected('after', 'a whole number from 0, the `number` of an event', value),
  ...CALL_RULES,
};

/**
 * checkedOptions returns the options, or throws the error that `refuse` makes of the first flaw. It also
 * refuses unknown names, because a misspelt option that is ignored costs money or time. If `idempotencyKey`
 * is ignored, a request may be bought twice; if `timeoutMs` is ignored, a wait has no end.
 */
export function checkedOptions<Options extends CallOptions>(
  options: Options,
  rules: OptionRules<Options>,
  refuse: (subject: 'options', flaw: Flaw) => Error,
): Options {
  const flaw = optionFlaw(options, rules);
  if (flaw !== undefined) throw refuse('options', flaw);
  return options;
}

function optionFlaw<Options>(options: unknown, rules: OptionRules<Options>): Flaw | undefined {
  const names = Object.keys(rules).join(' and ');
  // A signal has no keys of its own, so it would be accepted as an object without options.
  if (typeof options !== 'object' || options === null || Array.isArray(options) || isSignal(options)) {
    return expected('', `an object with ${names}`, options);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, name)) return { path: name, message: `expected only ${names} as options` };
    const flaw = value === undefined ? undefined : rules[name as keyof Options](value);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

function expected(path: string, what: string, value: unknown): Flaw {
  return { path, message: `expected ${what}, got ${isSignal(value) ? 'a signal' : shown(value)}` };
}

/**
 * `instanceof` would fail here, because the signal may come from another realm than this file, as in a test
 * runner.
 */
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value;
}

/** bulkFlaw says what is wrong with the requests of a bulk as a whole; undefined: nothing. */
export function bulkFlaw(requests: unknown): Flaw | undefined {
  return Array.isArray(requests) ? undefined : expected('', 'an array of requests', requests);
}

/** A lone surrogate is half of a character. No URL can contain one. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * jobIdRefusal returns the message of `job_not_found` for a string that cannot be a job's id; undefined: the
 * string can be one. A URL drops `.` and `..`, and an empty id would make the path of the list.
 */
export function jobIdRefusal(id: unknown): string | undefined {
  const isId = typeof id === 'string' && !/^\.{0,2}$/.test(id) && !LONE_SURROGATE.test(id);
  return isId ? undefined : `Expected the id of a job, got ${shown(id)}`;
}

/**
 * idempotencyKeyFlaw says what is wrong with an idempotency key; undefined: nothing. A blank at an end is
 * refused because HTTP drops it.
 */
export function idempotencyKeyFlaw(key: unknown): Flaw | undefined {
  if (typeof key === 'string' && /^[\x20-\x7e]{1,255}$/.test(key) && key.trim() === key) return undefined;
  const got = typeof key === 'string' && key.length > 255 ? `${key.length} of them` : shown(key);
  const message = `expected 1 to 255 printable ASCII characters with no blank at either end, got ${got}`;
  return { path: 'idempotency_key', message };
}
