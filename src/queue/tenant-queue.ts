import {
  type CompletedJob,
  isFinishedJob,
  type JobPage,
  type JobQuery,
  type JobView,
  type ResultOutcome,
  type UncompletedJob,
} from '../job.ts';
import type { JobRequest } from '../job-request.ts';
import { QueueError } from '../problem.ts';
import type { Caller } from '../tenant.ts';
import { type CancelOutcome, cancelJob, removeJob, retryJob } from './job-actions.ts';
import { listJobs } from './job-list.ts';
import { locate, notFound, requireJob, requireSettled } from './located-job.ts';
import { type NewJob, newJobFrom, storeJobs, viewOfNewJob } from './new-job.ts';
import type { QueueCore } from './queue-core.ts';
import { keepSeconds } from './retention.ts';
import { resultFrom, resultJsonFrom } from './stored-result.ts';

/** What became of each request of a bulk, in its order. */
export type EnqueueOutcome = { ok: true; job: JobView } | { ok: false; error: QueueError };

/** A `ResultOutcome` whose result is written as JSON already, in UTF-8. */
export type ResultJsonOutcome =
  | { status: 'completed'; json: Buffer }
  | { status: UncompletedJob['status']; job: UncompletedJob };

const MOST_IN_BULK = 1000;

/**
 * The queue as one caller sees it: what it enqueues is its own, and of what others have enqueued it learns nothing, not even that it
 * is there. Without a caller everything can be seen, and what is enqueued is nobody's.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class TenantQueue {
  readonly #core: QueueCore;
  readonly #caller: Caller | undefined;

  constructor(core: QueueCore, caller: Caller | undefined) {
    this.#core = core;
    this.#caller = caller;
  }

  async enqueue(request: JobRequest): Promise<JobView> {
    const job = this.#newJob(request, true);
    await this.#core.guard(() => storeJobs(this.#core.redis, job.queue, [job]));
    return viewOfNewJob(job);
  }

  /** Up to 1,000 at once; a bad one refuses only itself. */
  async enqueueBulk(requests: readonly JobRequest[]): Promise<EnqueueOutcome[]> {
    if (requests.length > MOST_IN_BULK) {
      throw new QueueError(
        'invalid_request',
        `A bulk was expected to hold at most ${MOST_IN_BULK} requests, got ${requests.length}`,
      );
    }
    const jobs = requests.map((request) => this.#newJobOrError(request));
    await this.#core.guard(async () => {
      for (const queue of this.#core.queues.values()) {
        const mine = jobs.filter((job): job is NewJob => !(job instanceof QueueError) && job.queue === queue);
        if (mine.length > 0) await storeJobs(this.#core.redis, queue, mine);
      }
    });
    return jobs.map((job) =>
      job instanceof QueueError ? { ok: false, error: job } : { ok: true, job: viewOfNewJob(job) },
    );
  }

  async get(id: string): Promise<JobView | null> {
    return this.#core.guard(
      async () => (await locate(this.#core.queues, id, this.#sees))?.reading.view ?? null,
    );
  }

  async result(id: string): Promise<ResultOutcome> {
    return this.#core.guard(async () => {
      const found = await this.#stored(id);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', result: resultFrom(found.job, found.stored) };
    });
  }

  /** `result` for who only passes it on: as JSON, which costs a fraction of the time where the answer is big. */
  async resultJson(id: string): Promise<ResultJsonOutcome> {
    return this.#core.guard(async () => {
      const found = await this.#stored(id);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', json: resultJsonFrom(found.job, found.stored) };
    });
  }

  /** The job when it is finished, or as it stands when the time is up. */
  async wait(
    id: string,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<JobView> {
    const { queue, bullId, reading } = await this.#core.guard(() =>
      requireJob(this.#core.queues, id, this.#sees),
    );
    let latest = reading.view;
    const look = async (): Promise<JobView | null> => {
      latest = await this.#view(id);
      return isFinishedJob(latest) ? latest : null;
    };
    const finished = await this.#core.waiters.wait(queue.keys.finishedChannel, bullId, look, {
      timeoutMs,
      signal,
    });
    return finished ?? latest;
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

  async #cancel(id: string): Promise<CancelOutcome> {
    return this.#core.guard(async () =>
      cancelJob(
        this.#core.redis,
        await requireJob(this.#core.queues, id, this.#sees),
        keepSeconds(this.#core.models.retention).failed,
      ),
    );
  }

  async #stored(
    id: string,
  ): Promise<
    { completed: false; job: UncompletedJob } | { completed: true; job: CompletedJob; stored: Buffer }
  > {
    const { queue, bullId, reading } = await requireJob(this.#core.queues, id, this.#sees);
    const job = reading.view;
    if (job.status !== 'completed') return { completed: false, job };
    const stored = await this.#core.redis.getBuffer(queue.keys.response(bullId));
    if (stored === null) throw notFound(id);
    return { completed: true, job, stored };
  }

  async #view(id: string): Promise<JobView> {
    return this.#core.guard(async () => (await requireJob(this.#core.queues, id, this.#sees)).reading.view);
  }

  /** Whose jobs alone may be seen; undefined: everybody's. */
  get #sees(): string | undefined {
    return this.#caller === undefined || this.#caller.admin ? undefined : this.#caller.tenant;
  }

  #newJob(request: JobRequest, streamByDefault: boolean): NewJob {
    const { queues, models } = this.#core;
    return newJobFrom(request, {
      queues,
      defaultModel: models.defaultModel,
      streamByDefault,
      tenant: this.#caller?.tenant,
    });
  }

  #newJobOrError(request: JobRequest): NewJob | QueueError {
    try {
      return this.#newJob(request, false);
    } catch (error: unknown) {
      if (error instanceof QueueError) return error;
      throw error;
    }
  }
}
