import { v4 as uuid } from 'uuid';
import { QueueError } from '../errors/problem.ts';
import { type BulkRequest, type JobRequest, parseJobRequest } from '../job/request.ts';
import type { JobView } from '../job/view.ts';
import type { QueueCore } from '../queue/queue-core.ts';
import { budgetRefusal } from './budget-check.ts';
import { type EnqueueOutcome, enqueueOnce, type KeyedJob } from './enqueue-once.ts';
import { checkedIdempotencyKey, fingerprintOf, jobIdOfKey } from './idempotency.ts';
import { type NewJob, type NewJobOptions, newJobFrom, storeJobs, viewOfNewJob } from './new-job.ts';

const MOST_IN_BULK = 1000;

/** Where requests of one tenant become jobs. */
export interface Intake {
  enqueue(request: JobRequest): Promise<JobView>;
  enqueueOnce(request: JobRequest, idempotencyKey: string): Promise<{ job: JobView; isNew: boolean }>;
  enqueueBulk(requests: readonly BulkRequest[]): Promise<EnqueueOutcome[]>;
}

/** @param tenant undefined: nobody. */
export function createIntake(core: QueueCore, tenant: string | undefined): Intake {
  const newJob = (request: unknown, streamByDefault: boolean, keyed?: NewJobOptions['keyed']): NewJob => {
    const { queues, models } = core;
    return newJobFrom(request, {
      queues,
      defaultModel: models.defaultModel,
      streamByDefault,
      tenant,
      webhooks: { delivered: core.deliveries !== undefined, allowPrivate: models.allowPrivateWebhooks },
      ...(keyed !== undefined && { keyed }),
    });
  };

  /** @throws {QueueError} for what is no request and no key; whatever else is wrong stands in the job. */
  const keyedJob = (request: unknown, key: unknown, streamByDefault: boolean): KeyedJob => {
    const id = jobIdOfKey(tenant, checkedIdempotencyKey(key));
    const mark = { fingerprint: fingerprintOf(parseJobRequest(request)), call: uuid() };
    return { id, mark, job: orError(() => newJob(request, streamByDefault, { id, ...mark })) };
  };

  return {
    async enqueue(request) {
      const job = newJob(request, true);
      await core.guard(async () => {
        const refusal = await budgetRefusal(core, tenant);
        if (refusal !== undefined) throw refusal;
        await storeJobs(core.redis, job.queue, [job]);
      });
      return viewOfNewJob(job);
    },

    async enqueueOnce(request, idempotencyKey) {
      const keyed = keyedJob(request, idempotencyKey, true);
      const [outcome] = await core.guard(async () => {
        // A repeat finds its job all the same.
        const job = (await budgetRefusal(core, tenant)) ?? keyed.job;
        return enqueueOnce(core, [{ ...keyed, job }]);
      });
      if (outcome === undefined) throw new Error('expected an outcome for the job');
      if (!outcome.ok) throw outcome.error;
      return { job: outcome.job, isNew: outcome.isNew };
    },

    async enqueueBulk(requests) {
      if (requests.length > MOST_IN_BULK) {
        throw new QueueError(
          'invalid_request',
          `A bulk was expected to hold at most ${MOST_IN_BULK} requests, got ${requests.length}`,
        );
      }
      const refusal = await core.guard(() => budgetRefusal(core, tenant));
      const jobs = requests.map((input) =>
        orError(() => {
          if (!hasKey(input)) return refusal ?? newJob(input, false);
          const { idempotency_key: key, ...request } = input;
          const keyed = keyedJob(request, key, false);
          return { ...keyed, job: refusal ?? keyed.job };
        }),
      );
      const keyed = jobs.filter((job) => 'mark' in job);
      const outcomes = await core.guard(async () => {
        for (const queue of core.queues.values()) {
          const mine = jobs.filter((job): job is NewJob => 'queue' in job && job.queue === queue);
          if (mine.length > 0) await storeJobs(core.redis, queue, mine);
        }
        return (await enqueueOnce(core, keyed)).values();
      });
      return jobs.map((job) => {
        if (job instanceof QueueError) return { ok: false, error: job };
        if ('queue' in job) return { ok: true, job: viewOfNewJob(job), isNew: true };
        const { value: outcome } = outcomes.next();
        if (outcome === undefined) throw new Error('expected an outcome for each job');
        return outcome;
      });
    },
  };
}

/** The requests are what a caller sent; anything may be among them. */
function hasKey(input: unknown): input is { idempotency_key: unknown } {
  return typeof input === 'object' && input !== null && Object.hasOwn(input, 'idempotency_key');
}

function orError<Value>(make: () => Value): Value | QueueError {
  try {
    return make();
  } catch (error: unknown) {
    if (error instanceof QueueError) return error;
    throw error;
  }
}
