import { abortable } from '../async/abortable.ts';
import type { EnqueueOutcome } from '../enqueue/store-jobs.ts';
import { refusalOf } from '../errors/input.ts';
import { QueueError } from '../errors/problem.ts';
import { jobEvents } from '../events/watch.ts';
import type { JobEvent } from '../job/event.ts';
import { isFinishedJob } from '../job/job.ts';
import type { JobQuery } from '../job/job-queue.ts';
import {
  type CallOptions,
  type EnqueueOptions,
  type EventOptions,
  enqueueOptionFlaw,
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

  constructor(queue: TenantQueue) {
    this.#queue = queue;
  }

  async enqueue(request: JobRequest, options: EnqueueOptions = {}): Promise<JobView> {
    const flaw = enqueueOptionFlaw(options);
    if (flaw !== undefined) throw refusalOf('options', [flaw]);
    const { idempotencyKey, signal } = options;
    return abortable(
      signal,
      async () => (await this.#queue.enqueue(parseJobRequest(request), idempotencyKey)).job,
    );
  }

  async enqueueBulk(
    requests: readonly BulkRequest[],
    { signal }: CallOptions = {},
  ): Promise<EnqueueOutcome[]> {
    return abortable(signal, () => this.#queue.enqueueBulk(requests));
  }

  async get(id: string, { signal }: CallOptions = {}): Promise<JobView> {
    return abortable(signal, () => this.#queue.get(id));
  }

  async result(id: string, { timeoutMs = 0, signal }: WaitOptions = {}): Promise<ResultOutcome> {
    return abortable(signal, () => this.#queue.result(id, { timeoutMs, signal }));
  }

  async wait(
    id: string,
    { timeoutMs = Number.POSITIVE_INFINITY, signal }: WaitOptions = {},
  ): Promise<JobView> {
    return abortable(signal, () => this.#queue.wait(id, { timeoutMs, signal }));
  }

  async *events(
    id: string,
    { after = 0, signal }: EventOptions = {},
  ): AsyncGenerator<JobEvent, void, undefined> {
    signal?.throwIfAborted();
    const watching = { after, signal: signal ?? new AbortController().signal };
    for await (const event of jobEvents(await this.#queue.watch(id, watching))) {
      yield event;
      if (event.type === 'done') return;
    }
    signal?.throwIfAborted();
    // The events ended without `done`: the caller has seen it before, the job was deleted, or this queue was
    // closed.
    if (isFinishedJob(await this.#queue.get(id))) return;
    throw new QueueError('redis_unavailable', `The events of job ${id} broke off: the queue was closed`);
  }

  async cancel(id: string, { signal }: CallOptions = {}): Promise<JobView> {
    return abortable(signal, async () => (await this.#queue.cancel(id)).job);
  }

  async retry(id: string, { signal }: CallOptions = {}): Promise<JobView> {
    return abortable(signal, () => this.#queue.retry(id));
  }

  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return abortable(signal, () => this.#queue.delete(id));
  }

  async list(query: JobQuery = {}, { signal }: CallOptions = {}): Promise<JobPage> {
    return abortable(signal, () => this.#queue.list(query));
  }

  jobs(query: JobQuery = {}, options: CallOptions = {}): AsyncGenerator<JobView, void, undefined> {
    return jobsOfAllPages((page) => this.list(page, options), query);
  }
}
