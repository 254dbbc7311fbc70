import { createIntake, type Intake } from '../enqueue/enqueue.ts';
import type { EnqueueOutcome } from '../enqueue/enqueue-once.ts';
import { jobEvents, type WatchEvent, watch } from '../events/watch.ts';
import type { JobEvent } from '../job/event.ts';
import {
  type CompletedJob,
  isFinishedJob,
  type JobPage,
  type JobQuery,
  type JobView,
  type ResultOutcome,
  type UncompletedJob,
} from '../job/job.ts';
import type { BulkRequest, JobRequest } from '../job/request.ts';
import type { Caller } from '../job/tenant.ts';
import { type CancelOutcome, cancelJob, removeJob, retryJob } from '../job-store/actions.ts';
import {
  type FoundJob,
  findJob,
  notFound,
  readAgain,
  requireJob,
  requireSettled,
} from '../job-store/find.ts';
import { type JobDetail, jobDetailFrom } from '../job-store/job-detail.ts';
import { listJobs } from '../job-store/list.ts';
import { resultFrom, resultJsonFrom } from '../job-store/result.ts';
import { keepSeconds } from '../run/retention.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import type { QueueCore } from './queue-core.ts';
import { createSdkRetryKeys, type SdkRetryKeys } from './sdk-retry-keys.ts';

/** A `ResultOutcome` whose result is written as JSON already, in UTF-8. */
export type ResultJsonOutcome =
  | { status: 'completed'; json: Buffer }
  | { status: UncompletedJob['status']; job: UncompletedJob };

export interface WaitOptions {
  /** For how long at most, in milliseconds. 0: not at all. */
  timeoutMs: number;
  /** Ends the wait with its reason. */
  signal?: AbortSignal | undefined;
}

/**
 * The queue as one caller sees it: what it enqueues is its own, and of what others have enqueued it learns nothing, not even that it
 * is there. Without a caller everything can be seen, and what is enqueued is nobody's.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class TenantQueue {
  readonly #core: QueueCore;
  readonly #caller: Caller | undefined;
  readonly #intake: Intake;

  constructor(core: QueueCore, caller: Caller | undefined) {
    this.#core = core;
    this.#caller = caller;
    this.#intake = createIntake(core, caller?.tenant);
  }

  async enqueue(request: JobRequest): Promise<JobView> {
    return this.#intake.enqueue(request);
  }

  /**
   * The job of this key: enqueued now (`isNew`), or by an earlier call with the same request. The key is the caller's own among all callers', and is
   * taken as long as there is the job. Many calls at once enqueue one job, and one of them is told `isNew`.
   *
   * @param idempotencyKey 1 to 255 printable ASCII characters.
   */
  async enqueueOnce(request: JobRequest, idempotencyKey: string): Promise<{ job: JobView; isNew: boolean }> {
    return this.#intake.enqueueOnce(request, idempotencyKey);
  }

  /** Up to 1,000 at once; a bad one refuses only itself. */
  async enqueueBulk(requests: readonly BulkRequest[]): Promise<EnqueueOutcome[]> {
    return this.#intake.enqueueBulk(requests);
  }

  /** For callers that ask again by themselves when no answer comes. */
  get sdkRetryKeys(): SdkRetryKeys {
    const { redis, prefix, guard } = this.#core;
    return createSdkRetryKeys({ redis, prefix, guard, tenant: this.#caller?.tenant });
  }

  async get(id: string): Promise<JobView | null> {
    return this.#core.guard(
      async () => (await findJob(this.#core.queues, id, this.#sees))?.reading.view ?? null,
    );
  }

  async result(id: string): Promise<ResultOutcome> {
    return this.#core.guard(async () => {
      const found = await this.#stored(await this.#findJob(id));
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', result: resultFrom(found.job, found.stored) };
    });
  }

  /**
   * `result` for who only passes it on: as JSON, which costs a fraction of the time where the answer is big. Of a job that is not finished,
   * after waiting for its end.
   */
  async resultJson(id: string, waiting: WaitOptions): Promise<ResultJsonOutcome> {
    const located = await this.#finished(id, waiting);
    return this.#core.guard(async () => {
      const found = await this.#stored(located);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', json: resultJsonFrom(found.job, found.stored) };
    });
  }

  /** A job with all that was asked and answered, for who speaks of it in the words of the Responses API. */
  async inspect(id: string): Promise<JobDetail> {
    return this.#core.guard(async () => {
      const { queue, bullId, reading } = await this.#findJob(id);
      const [data, response] = await Promise.all([
        this.#core.redis.hget(queue.keys.job(bullId), 'data'),
        reading.view.status === 'completed' ? this.#core.redis.get(queue.keys.response(bullId)) : null,
      ]);
      if (data === null || (response === null && reading.view.status === 'completed')) throw notFound(id);
      return jobDetailFrom(reading, data, response);
    });
  }

  /** The job when it is finished, or as it stands when the time is up. */
  async wait(id: string, waiting: WaitOptions): Promise<JobView> {
    return (await this.#finished(id, waiting)).reading.view;
  }

  /**
   * What happens to a job, from the beginning or after an event that was seen before, up to its end. Worker crashes, new attempts and restarts of Redis in between cost a
   * watcher nothing. It ends early when the signal aborts, the job is forgotten or the queue is closed: then there was no `done`.
   *
   * @param options.after the `number` of the last event that was seen. Default: none.
   */
  async *events(
    id: string,
    { after = 0, signal = new AbortController().signal }: { after?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<JobEvent> {
    yield* jobEvents(await this.watch(id, { after, signal }));
  }

  /** The same in the upstream's own words. */
  async watch(
    id: string,
    { after, signal }: { after: number; signal: AbortSignal },
  ): Promise<AsyncGenerator<WatchEvent>> {
    const { queue, bullId } = await this.#core.guard(() => this.#findJob(id));
    return watch(() => this.#core.liveJobs.open(queue, bullId), after, signal);
  }

  async cancel(id: string): Promise<{ outcome: CancelOutcome; job: JobView }> {
    const outcome = await this.#cancel(id);
    if (outcome === 'cancelling')
      this.#core.nudges.begin(id, async () => (await this.#cancel(id)) === 'cancelling');
    return { outcome, job: await this.#view(id) };
  }

  /** Runs a failed or cancelled job again, from its first attempt: a fresh purchase. */
  async retry(id: string): Promise<JobView> {
    await this.#core.guard(async () =>
      retryJob(this.#core.redis, await requireSettled(this.#core.queues, id, this.#sees)),
    );
    return this.#view(id);
  }

  /** Forgets a finished job and its result. */
  async remove(id: string): Promise<void> {
    await this.#core.guard(async () =>
      removeJob(this.#core.redis, await requireSettled(this.#core.queues, id, this.#sees)),
    );
  }

  async list(query: JobQuery = {}): Promise<JobPage> {
    return this.#core.guard(() =>
      listJobs(this.#core.redis, this.#core.queues, { ...query, ...(this.#sees && { tenant: this.#sees }) }),
    );
  }

  /** What was used and what it cost, by the days on which responses ended; at most 400 of them, as long as it is kept. */
  async usage(query: UsageQuery = {}): Promise<UsageReport> {
    const { guard, usage } = this.#core;
    return guard(() => usage.report(query, this.#sees));
  }

  async #cancel(id: string): Promise<CancelOutcome> {
    return this.#core.guard(async () =>
      cancelJob(this.#core.redis, await this.#findJob(id), keepSeconds(this.#core.models.retention).failed),
    );
  }

  async #stored({
    queue,
    bullId,
    reading,
  }: FoundJob): Promise<
    { completed: false; job: UncompletedJob } | { completed: true; job: CompletedJob; stored: Buffer }
  > {
    const job = reading.view;
    if (job.status !== 'completed') return { completed: false, job };
    const stored = await this.#core.redis.getBuffer(queue.keys.response(bullId));
    if (stored === null) throw notFound(job.id);
    return { completed: true, job, stored };
  }

  /** Where it is when it is finished, or when the time is up. */
  async #finished(id: string, { timeoutMs, signal }: WaitOptions): Promise<FoundJob> {
    const { guard, waiters } = this.#core;
    let latest = await guard(() => this.#findJob(id));
    // Not `timeoutMs <= 0`: a time limit that is no number must not wait for ever.
    if (isFinishedJob(latest.reading.view) || !(timeoutMs > 0)) return latest;
    const { queue, bullId } = latest;
    const look = async (): Promise<FoundJob | null> => {
      latest = await guard(() => readAgain(latest));
      return isFinishedJob(latest.reading.view) ? latest : null;
    };
    await waiters.wait(queue.keys.finishedChannel, bullId, look, { timeoutMs, signal });
    return latest;
  }

  #findJob(id: string): Promise<FoundJob> {
    return requireJob(this.#core.queues, id, this.#sees);
  }

  async #view(id: string): Promise<JobView> {
    return this.#core.guard(async () => (await this.#findJob(id)).reading.view);
  }

  /** Whose jobs alone may be seen; undefined: everybody's. */
  get #sees(): string | undefined {
    return this.#caller === undefined || this.#caller.admin ? undefined : this.#caller.tenant;
  }
}
