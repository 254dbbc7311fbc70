import type { Act, AuditPage, AuditQuery } from '../audit/audit.ts';
import { type AcknowledgedOutcome, createIntake, type Intake } from '../enqueue/enqueue.ts';
import { quoteFor } from '../enqueue/quote.ts';
import { type WatchEvent, watch } from '../events/watch.ts';
import type { TraceContext } from '../job/fields/trace-context.ts';
import type { JobQuery } from '../job/job-queue.ts';
import type { BulkRequest, ParsedRequest } from '../job/request.ts';
import { type Caller, NO_TENANT } from '../job/tenant.ts';
import type { JobPage, JobView, ResultOutcome, UncompletedJob } from '../job/view.ts';
import { type CancelOutcome, cancelJob, removeJob, retryJob } from '../job-store/actions.ts';
import {
  type FoundJob,
  findJob,
  notFound,
  readAgain,
  requireJob,
  requireSettled,
} from '../job-store/find.ts';
import { listJobs } from '../job-store/list.ts';
import { type JobDetail, jobDetailFrom, resultFrom, resultJsonFrom } from '../job-store/result.ts';
import { type QueueAccess, queueNamed } from '../model-queue/queue-access.ts';
import { createOverview, type Overview } from '../overview/overview.ts';
import type { Ack } from '../redis/ack/level.ts';
import type { Quote } from '../usage/quote.ts';
import type { UsageQuery, UsageReport } from '../usage/report.ts';
import { DirectCalls } from './direct-calls.ts';
import { type BoundedWait, NO_WAIT, storedResult, waitForEnd } from './job-end.ts';
import type { QueueCore } from './queue-core.ts';
import { TenantActions } from './tenant-actions.ts';
import { createUpstreamIds, type UpstreamIds } from './upstream-ids.ts';

/** ResultJsonOutcome is a ResultOutcome whose result is already JSON, in UTF-8. */
export type ResultJsonOutcome =
  | { status: 'completed'; json: Buffer }
  | { status: UncompletedJob['status']; job: UncompletedJob };

/** TenantStorage gives one tenant access to the Redis of a queue. */
export type TenantStorage = Pick<QueueAccess, 'redis' | 'prefix' | 'guard'> & {
  /** The caller's tenant; `NO_TENANT` without a caller. */
  readonly tenant: string;
};

/**
 * TenantQueue is the queue as one caller sees it, with everything that the producer needs. The caller owns
 * the jobs that it enqueues; for another tenant's job the caller gets `job_not_found`. Without a caller every
 * job is visible, and new jobs belong to no tenant.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class TenantQueue {
  readonly #core: QueueCore;
  readonly #caller: Caller | undefined;
  readonly #tenant: string;
  readonly #intake: Intake;
  /** Long actions over all jobs that match a filter. */
  readonly actions: TenantActions;
  /** Calls to the upstream without a job. */
  readonly direct: DirectCalls;
  /** Finds the upstream's ids of the responses that a body names. */
  readonly upstreamIds: UpstreamIds;

  constructor(core: QueueCore, caller: Caller | undefined) {
    this.#core = core;
    this.#caller = caller;
    this.#tenant = caller?.tenant ?? NO_TENANT;
    this.actions = new TenantActions(core, { tenant: this.#tenant, sees: this.#sees });
    this.direct = new DirectCalls(core, this.#tenant);
    this.upstreamIds = createUpstreamIds(core, this.#sees);
    this.#intake = createIntake(core, this.#tenant, this.upstreamIds);
  }

  /**
   * Enqueues a request. `isNew` is false when the job of the idempotency key already existed. Of many
   * simultaneous calls with the same key and request, only one gets `isNew`, and all get the same job.
   * @param trace the span of the caller, if it names one. @returns `ack`: what Redis has done so far.
   */
  async enqueue(
    request: ParsedRequest,
    idempotencyKey?: string,
    trace?: TraceContext,
  ): Promise<{ job: JobView; isNew: boolean; ack: Ack }> {
    const outcome = await this.#intake.enqueue(request, idempotencyKey, trace);
    if (outcome.ok) return outcome;
    throw outcome.error;
  }

  /**
   * Estimates what a request would cost and when it would be answered. It stores nothing.
   * @param countedTokens the input as the upstream has counted it; undefined: it is estimated from its length.
   */
  async quote(request: ParsedRequest, countedTokens?: number): Promise<Quote> {
    return this.#core.guard(() => quoteFor(this.#core, request, this.#tenant, countedTokens));
  }

  /** Enqueues up to 1,000 requests. An invalid request does not affect the others. */
  async enqueueBulk(requests: readonly BulkRequest[], trace?: TraceContext): Promise<AcknowledgedOutcome[]> {
    return this.#intake.enqueueBulk(requests, trace);
  }

  /** Returns the configured model that a caller names, also by a snapshot; undefined: there is none. */
  modelNamed(name: string): string | undefined {
    return queueNamed(name, this.#core.queues)?.model;
  }

  /** The connection, the prefix and the tenant with which `/v1` stores Redis keys of its own. */
  get storage(): TenantStorage {
    const { redis, prefix, guard } = this.#core;
    return { redis, prefix, guard, tenant: this.#tenant };
  }

  /** Reads a job; null: there is no such job. */
  async find(id: string): Promise<JobView | null> {
    const { guard, queues } = this.#core;
    return guard(async () => (await findJob(queues, id, this.#sees))?.reading.view ?? null);
  }

  /** Reads a job. */
  async get(id: string): Promise<JobView> {
    return this.#core.guard(async () => (await this.#findJob(id)).reading.view);
  }

  /** Waits until a job has ended, and reads its result. */
  async result(id: string, waiting = NO_WAIT): Promise<ResultOutcome> {
    const ended = await waitForEnd(this.#core, id, this.#sees, waiting);
    return this.#core.guard(async () => {
      const found = await storedResult(ended);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', result: resultFrom(found.job, found.stored) };
    });
  }

  /**
   * Reads a job's result as JSON, for a caller that only passes it on. For a large answer this takes a
   * fraction of the time that `result` takes.
   */
  async resultJson(id: string, waiting: BoundedWait): Promise<ResultJsonOutcome> {
    const ended = await waitForEnd(this.#core, id, this.#sees, waiting);
    return this.#core.guard(async () => {
      const found = await storedResult(ended);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', json: resultJsonFrom(found.job, found.stored) };
    });
  }

  /** Reads a job with its request and response, for the routes of the Responses API. */
  async inspect(id: string): Promise<JobDetail> {
    return this.#core.guard(async () => {
      const { queue, bullId, reading } = await this.#findJob(id);
      const [data, response] = await Promise.all([
        this.#core.redis.hget(queue.keys.job(bullId), 'data'),
        reading.view.status === 'completed' ? queue.response(bullId) : null,
      ]);
      if (data === null || (response === null && reading.view.status === 'completed')) throw notFound(id);
      return jobDetailFrom(reading, data, response);
    });
  }

  /** Waits until a job has ended, and returns its view. */
  async wait(id: string, waiting: BoundedWait): Promise<JobView> {
    return (await waitForEnd(this.#core, id, this.#sees, waiting)).reading.view;
  }

  /**
   * Watches a job from the event after number `after` to its end. The watch ends without an `end` event when
   * the signal aborts, the job is deleted or the queue is closed.
   */
  async watch(
    id: string,
    { after, signal }: { after: number; signal: AbortSignal },
  ): Promise<AsyncGenerator<WatchEvent>> {
    const { queue, bullId } = await this.#core.guard(() => this.#findJob(id));
    return watch(() => this.#core.liveJobs.open(queue, bullId), after, signal);
  }

  async cancel(id: string): Promise<{ outcome: CancelOutcome; job: JobView }> {
    return this.#core.guard(async () => {
      const found = await this.#findJob(id);
      const outcome = await cancelJob(this.#core, found, this.#caller?.tenant ?? null);
      const { view } = found.reading;
      if (outcome !== 'already') this.#record({ what: 'job.cancel', outcome }, view);
      // The mark changes nothing else of an active job, so this job need not be read again.
      if (outcome === 'cancelling' && view.status === 'active')
        return { outcome, job: { ...view, cancelling: true } };
      return { outcome, job: (await readAgain(found)).reading.view };
    });
  }

  /** Runs a failed or cancelled job again from its first attempt, with a new purchase. */
  async retry(id: string): Promise<JobView> {
    await this.#core.guard(async () => {
      const found = await requireSettled(this.#core.queues, id, this.#sees);
      await retryJob(this.#core, found, this.#caller?.tenant ?? null);
      this.#record({ what: 'job.retry', outcome: 'retried' }, found.reading.view);
    });
    return this.get(id);
  }

  /** Deletes a finished job and its result. */
  async delete(id: string): Promise<void> {
    await this.#core.guard(async () => {
      const found = await requireSettled(this.#core.queues, id, this.#sees);
      await removeJob(this.#core, found);
      this.#record({ what: 'job.delete', outcome: 'deleted' }, found.reading.view);
    });
  }

  /**
   * Reads who has done what, newest first: the caller's own acts and those on its jobs, or all for an admin.
   */
  async audit(query: AuditQuery = {}): Promise<AuditPage> {
    return this.#core.guard(() => this.#core.audit.read(this.#sees, query));
  }

  async list(query: JobQuery = {}): Promise<JobPage> {
    return this.#core.guard(() =>
      listJobs(this.#core.redis, this.#core.queues, { ...query, ...(this.#sees && { tenant: this.#sees }) }),
    );
  }

  /** Reports what jobs have used and cost, by the days on which their responses ended; at most 400 days. */
  async usage(query: UsageQuery = {}): Promise<UsageReport> {
    const { guard, usage } = this.#core;
    return guard(() => usage.report(query, this.#sees));
  }

  /** What the caller may see of many jobs at once. */
  get overview(): Overview {
    return createOverview(this.#core, this.#sees);
  }

  /**
   * The entry goes by the same connection as the act, right behind it, and the caller does not wait for it.
   */
  #record(act: Pick<Act, 'what' | 'outcome'>, { id, tenant }: Pick<JobView, 'id' | 'tenant'>): void {
    void this.#core.audit.record({ ...act, by: this.#caller?.tenant ?? null, subject: id, owner: tenant });
  }

  #findJob(id: string): Promise<FoundJob> {
    return requireJob(this.#core.queues, id, this.#sees);
  }

  /** The tenant whose jobs the caller may see; undefined: the caller may see all jobs. */
  get #sees(): string | undefined {
    return this.#caller === undefined || this.#caller.admin ? undefined : this.#caller.tenant;
  }
}
