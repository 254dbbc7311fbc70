import { abortable } from '../async/abortable.ts';
import type { EnqueueOutcome } from '../enqueue/store-jobs.ts';
import { refusalOf } from '../errors/input.ts';
import { type Flaw, QueueError } from '../errors/problem.ts';
import { jobEvents } from '../events/watch.ts';
import type { JobEvent } from '../job/event.ts';
import {
  BULK_RULES,
  bulkFlaw,
  CALL_RULES,
  checkedOptions,
  ENQUEUE_RULES,
  EVENT_RULES,
  WAIT_RULES,
} from '../job/fields/option-rules.ts';
import { isFinishedJob } from '../job/job.ts';
import {
  type BulkOptions,
  type CallOptions,
  type EnqueueOptions,
  type EventOptions,
  type JobActions,
  type JobQuery,
  type JobQueue,
  jobsOfAllPages,
  type WaitOptions,
} from '../job/job-queue.ts';
import { type BulkRequest, type JobRequest, parseJobRequest } from '../job/request.ts';
import type { JobPage, JobView, ResultOutcome } from '../job/view.ts';
import type { TenantQueue } from './tenant-queue.ts';

/**
 * RedisJobQueue is a JobQueue that uses Redis directly, for apps. It hides the methods of TenantQueue that
 * only the producer may use.
 *
 * @throws {QueueError} from every method, or the reason of the call's signal.
 */
export class RedisJobQueue implements JobQueue {
  readonly #queue: TenantQueue;
  readonly actions: JobActions;

  constructor(queue: TenantQueue) {
    this.#queue = queue;
    const { actions } = queue;
    this.actions = {
      count: (kind, filter, options = {}) => abortable(signalOf(options), () => actions.count(kind, filter)),
      start: (kind, filter, options = {}) => abortable(signalOf(options), () => actions.start(kind, filter)),
      get: (id, options = {}) => abortable(signalOf(options), () => actions.get(id)),
      list: (options = {}) => abortable(signalOf(options), () => actions.list()),
      stop: (id, options = {}) => abortable(signalOf(options), () => actions.stop(id)),
    };
  }

  async enqueue(request: JobRequest, options: EnqueueOptions = {}): Promise<JobView> {
    const { idempotencyKey, trace, signal } = checkedOptions(options, ENQUEUE_RULES, refused);
    return abortable(
      signal,
      async () => (await this.#queue.enqueue(parseJobRequest(request), idempotencyKey, trace)).job,
    );
  }

  async enqueueBulk(requests: readonly BulkRequest[], options: BulkOptions = {}): Promise<EnqueueOutcome[]> {
    const { trace, signal } = checkedOptions(options, BULK_RULES, refused);
    const flaw = bulkFlaw(requests);
    if (flaw !== undefined) throw refused('requests', flaw);
    const outcomes = await abortable(signal, () => this.#queue.enqueueBulk(requests, trace));
    return outcomes.map((outcome) =>
      outcome.ok ? { ok: true, job: outcome.job, isNew: outcome.isNew } : outcome,
    );
  }

  async get(id: string, options: CallOptions = {}): Promise<JobView> {
    return abortable(signalOf(options), () => this.#queue.get(id));
  }

  async result(id: string, options: WaitOptions = {}): Promise<ResultOutcome> {
    const { timeoutMs = 0, signal } = checkedOptions(options, WAIT_RULES, refused);
    return abortable(signal, () => this.#queue.result(id, { timeoutMs, signal }));
  }

  async wait(id: string, options: WaitOptions = {}): Promise<JobView> {
    const { timeoutMs = Number.POSITIVE_INFINITY, signal } = checkedOptions(options, WAIT_RULES, refused);
    return abortable(signal, () => this.#queue.wait(id, { timeoutMs, signal }));
  }

  async *events(id: string, options: EventOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    const { after = 0, signal } = checkedOptions(options, EVENT_RULES, refused);
    signal?.throwIfAborted();
    const watching = { after, signal: signal ?? new AbortController().signal };
    for await (const event of jobEvents(await this.#queue.watch(id, watching))) {
      yield event;
      if (event.type === 'done') return;
    }
    signal?.throwIfAborted();
    // The events ended without `done`: the caller has already seen `done`, the job was deleted, or this queue
    // was closed.
    if (isFinishedJob(await this.#queue.get(id))) return;
    throw new QueueError('redis_unavailable', `The events of job ${id} broke off: the queue was closed`);
  }

  async cancel(id: string, options: CallOptions = {}): Promise<JobView> {
    return abortable(signalOf(options), async () => (await this.#queue.cancel(id)).job);
  }

  async retry(id: string, options: CallOptions = {}): Promise<JobView> {
    return abortable(signalOf(options), () => this.#queue.retry(id));
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    return abortable(signalOf(options), () => this.#queue.delete(id));
  }

  async list(query: JobQuery = {}, options: CallOptions = {}): Promise<JobPage> {
    return abortable(signalOf(options), () => this.#queue.list(query));
  }

  jobs(query: JobQuery = {}, options: CallOptions = {}): AsyncGenerator<JobView, void, undefined> {
    return jobsOfAllPages((page) => this.list(page, options), query);
  }
}

/** signalOf checks the options of a call whose only option is its signal. */
export function signalOf(options: CallOptions): AbortSignal | undefined {
  return checkedOptions(options, CALL_RULES, refused).signal;
}

function refused(subject: string, flaw: Flaw): QueueError {
  return refusalOf(subject, [flaw]);
}
