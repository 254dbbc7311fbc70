import { defaultModels, type Models } from '../config-file.ts';
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
import { connectRedis, type RedisClient } from '../redis/connection.ts';
import { type CancelOutcome, cancelJob, removeJob, retryJob } from './job-actions.ts';
import { listJobs } from './job-list.ts';
import { type WebhookKeys, webhookKeysOf } from './keys.ts';
import { locate, notFound, requireJob, requireSettled } from './located-job.ts';
import { createModelQueue, type ModelQueue } from './model-queue.ts';
import { type NewJob, newJobFrom, storeJobs, viewOfNewJob } from './new-job.ts';
import { createNudges, type Nudges } from './nudges.ts';
import { createRedisGuard, type RedisGuard } from './redis-guard.ts';
import { keepSeconds } from './retention.ts';
import { resultFrom, resultJsonFrom } from './stored-result.ts';
import { createWaiters, type Waiters } from './waiters.ts';
import { receiveWebhook } from './webhook-inbox.ts';

export interface O3QueueOptions extends Partial<Models> {
  /** `redis://`, `rediss://`, `redis+sentinel://h:p,h:p/NAME` or `redis+cluster://h:p,h:p`. */
  redisUrl: string;
  /** The workers' `O3Q_PREFIX`. Default `o3q`. */
  prefix?: string;
  /** Told about lost connections, at most once a second each. Default: nobody. */
  onError?: (error: Error) => void;
}

/** What became of each request of a bulk, in its order. */
export type EnqueueOutcome = { ok: true; job: JobView } | { ok: false; error: QueueError };

/** A `ResultOutcome` whose result is written as JSON already, in UTF-8. */
export type ResultJsonOutcome =
  | { status: 'completed'; json: Buffer }
  | { status: UncompletedJob['status']; job: UncompletedJob };

const MOST_IN_BULK = 1000;
const READY_KEY_MS = 1000;

/**
 * The queue, straight on Redis: for the producer, and for any app that shares the Redis. Every method answers from what
 * Redis holds; while Redis is away every method fails at once with `redis_unavailable`.
 *
 * @throws {QueueError} from every method, with a code of docs/ERRORS.md.
 */
export class O3Queue {
  readonly #redis: RedisClient;
  readonly #queues: ReadonlyMap<string, ModelQueue>;
  readonly #models: Models;
  readonly #readyKey: string;
  readonly #guard: RedisGuard;
  readonly #waiters: Waiters;
  readonly #nudges: Nudges;
  readonly #webhookKeys: WebhookKeys;
  #closing: Promise<void> | undefined;

  constructor({ redisUrl, prefix = 'o3q', onError = () => {}, ...models }: O3QueueOptions) {
    this.#models = { ...defaultModels(), ...models };
    this.#redis = connectRedis(redisUrl, 'fail-fast', { onError, name: `${prefix}:queue` });
    this.#readyKey = `${prefix}:ready`;
    this.#guard = createRedisGuard(this.#redis);
    this.#queues = new Map(
      Object.entries(this.#models.models).map(([model, config]) => [
        model,
        createModelQueue(this.#redis, prefix, model, config, onError),
      ]),
    );
    this.#waiters = createWaiters(() =>
      connectRedis(redisUrl, 'patient', { onError, name: `${prefix}:waiters` }),
    );
    this.#nudges = createNudges(async (id) => (await this.#cancel(id)) === 'cancelling');
    this.#webhookKeys = webhookKeysOf(prefix);
  }

  /** The models that can be asked for, each with its queue: for Bull Board and the like. */
  get queues(): readonly ModelQueue[] {
    return [...this.#queues.values()];
  }

  /** Resolves when Redis answers. */
  async ping(): Promise<void> {
    await this.#guard(() => this.#redis.ping());
  }

  /** Resolves when Redis takes writes: for readiness. One that is full, or a replica, answers a ping all the same. */
  async ready(): Promise<void> {
    await this.#guard(() => this.#redis.set(this.#readyKey, '', 'PX', READY_KEY_MS));
  }

  async enqueue(request: JobRequest): Promise<JobView> {
    const job = newJobFrom(request, this.#queues, this.#models.defaultModel, true);
    await this.#guard(() => storeJobs(this.#redis, job.queue, [job]));
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
    await this.#guard(async () => {
      for (const queue of this.#queues.values()) {
        const mine = jobs.filter((job): job is NewJob => !(job instanceof QueueError) && job.queue === queue);
        if (mine.length > 0) await storeJobs(this.#redis, queue, mine);
      }
    });
    return jobs.map((job) =>
      job instanceof QueueError ? { ok: false, error: job } : { ok: true, job: viewOfNewJob(job) },
    );
  }

  async get(id: string): Promise<JobView | null> {
    return this.#guard(async () => (await locate(this.#queues, id))?.reading.view ?? null);
  }

  async result(id: string): Promise<ResultOutcome> {
    return this.#guard(async () => {
      const found = await this.#stored(id);
      if (!found.completed) return { status: found.job.status, job: found.job };
      return { status: 'completed', result: resultFrom(found.job, found.stored) };
    });
  }

  /** `result` for who only passes it on: as JSON, which costs a fraction of the time where the answer is big. */
  async resultJson(id: string): Promise<ResultJsonOutcome> {
    return this.#guard(async () => {
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
    const { queue, bullId, reading } = await this.#guard(() => requireJob(this.#queues, id));
    let latest = reading.view;
    const look = async (): Promise<JobView | null> => {
      latest = await this.#view(id);
      return isFinishedJob(latest) ? latest : null;
    };
    const finished = await this.#waiters.wait(queue.keys.finishedChannel, bullId, look, {
      timeoutMs,
      signal,
    });
    return finished ?? latest;
  }

  async cancel(id: string): Promise<{ outcome: CancelOutcome; job: JobView }> {
    const outcome = await this.#cancel(id);
    if (outcome === 'cancelling') this.#nudges.begin(id);
    return { outcome, job: await this.#view(id) };
  }

  /** Runs a failed or cancelled job again, from its first attempt: a fresh purchase. */
  async retry(id: string): Promise<JobView> {
    await this.#guard(async () => retryJob(this.#redis, await requireSettled(this.#queues, id)));
    return this.#view(id);
  }

  /** Forgets a finished job and its result. */
  async remove(id: string): Promise<void> {
    await this.#guard(async () => removeJob(this.#redis, await requireSettled(this.#queues, id)));
  }

  async list(query: JobQuery = {}): Promise<JobPage> {
    return this.#guard(() => listJobs(this.#redis, this.#queues, query));
  }

  /**
   * Takes what a webhook of OpenAI says, once its signature has been checked: this response has ended. The worker that
   * follows it, whichever it is, hears of it. @returns false: this webhook had been received before.
   */
  async receiveWebhook(webhookId: string, responseId: string): Promise<boolean> {
    return this.#guard(() => receiveWebhook(this.#redis, this.#webhookKeys, webhookId, responseId));
  }

  /** Ends waits with how things stand, and lets go of Redis. Calling it again waits for the same end. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#nudges.close();
    this.#waiters.close();
    await Promise.allSettled([...this.#queues.values()].map(({ bullmq }) => bullmq.close()));
    this.#redis.disconnect();
  }

  async #cancel(id: string): Promise<CancelOutcome> {
    return this.#guard(async () =>
      cancelJob(this.#redis, await requireJob(this.#queues, id), keepSeconds(this.#models.retention).failed),
    );
  }

  async #stored(
    id: string,
  ): Promise<
    { completed: false; job: UncompletedJob } | { completed: true; job: CompletedJob; stored: Buffer }
  > {
    const { queue, bullId, reading } = await requireJob(this.#queues, id);
    const job = reading.view;
    if (job.status !== 'completed') return { completed: false, job };
    const stored = await this.#redis.getBuffer(queue.keys.response(bullId));
    if (stored === null) throw notFound(id);
    return { completed: true, job, stored };
  }

  async #view(id: string): Promise<JobView> {
    return this.#guard(async () => (await requireJob(this.#queues, id)).reading.view);
  }

  #newJobOrError(request: JobRequest): NewJob | QueueError {
    try {
      return newJobFrom(request, this.#queues, this.#models.defaultModel, false);
    } catch (error: unknown) {
      if (error instanceof QueueError) return error;
      throw error;
    }
  }
}
