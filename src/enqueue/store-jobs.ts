import { QueueError } from '../errors/problem.ts';
import type { BulkOutcome } from '../job/job-queue.ts';
import { notFound } from '../job-store/find.ts';
import { claimIdempotencyKeys } from '../lua/enqueue/enqueue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import type { SendSpan } from '../tracing/send.ts';
import type { JobKey } from './idempotency.ts';
import { viewOfNewJob, type WrittenJob } from './new-job.ts';
import { needsClaims, type StoredJob, storedJob, storeInQueues } from './queue-storage.ts';

/** EnqueueOutcome is the outcome of one request. */
export type EnqueueOutcome = BulkOutcome<QueueError>;

/** RequestedJob is a request that is about to be stored. */
export interface RequestedJob {
  /**
   * The job, or why the request is refused. A request that repeats an earlier one finds the existing job even
   * if it would now be refused, for example after the deadline or when the budget is used up.
   */
  job: WrittenJob | QueueError;
  /** undefined: the request came without an idempotency key. */
  key: JobKey | undefined;
  /** undefined: no job could be made of the request. */
  span?: SendSpan | undefined;
}

/** How long a claim lasts, in milliseconds: longer than a producer takes to store a job, or to give up. */
const CLAIM_MS = 10_000;
/** How many times a request is tried in all, when the job that it found is deleted meanwhile. */
const MOST_TRIES = 3;
/**
 * storeJobs stores the jobs of one tenant, and finds the existing jobs of their idempotency keys. The id of a
 * job with a key is computed from the key. So of twenty simultaneous calls only one stores the job, and the
 * stored job has the mark of that call.
 *
 * It is one round trip for any number of jobs: one script stores a job with its entries, or finds the job of
 * its key in any model (`enqueue.store`). A crash leaves either all of a job or nothing. A crash before the
 * answer leaves a job that no caller knows; a repeated call with its key finds it. The jobs may be of several
 * calls: when one of them cannot read the job that its key has found, the outcomes of the others stand.
 *
 * In a Redis Cluster with two models or more, a script cannot look into other models. Two steps then come
 * before it, only for jobs with keys: *claim*, so that only one model may store a key's job, and *look*,
 * which finds the jobs of keys in the other models. A crash after the claim leaves a claim, which expires.
 */
export async function storeJobs(
  access: QueueAccess,
  requested: readonly RequestedJob[],
  tries = MOST_TRIES,
): Promise<PromiseSettledResult<EnqueueOutcome>[]> {
  const claimed = await claim(access, requested);
  const found = await findStored(access, requested, claimed);
  const wanted = requested.flatMap(({ job, key }) => {
    if (job instanceof QueueError || (key !== undefined && found.has(key.id))) return [];
    return claimed.has(job) ? [job] : [];
  });
  const refused = new Map<WrittenJob, QueueError>();
  for (const answer of await storeInQueues(access, wanted)) {
    if (answer.error === undefined) found.set(answer.job.id, answer.stored);
    else refused.set(answer.job, answer.error);
  }
  release(access, wanted);
  return Promise.allSettled(
    requested.map(async (each): Promise<EnqueueOutcome> => {
      const { job, key } = each;
      const error = job instanceof QueueError ? job : refused.get(job);
      const outcome = await enqueueOutcomeOf(access, { job: error ?? job, key }, found, claimed);
      if (outcome !== undefined) return outcome;
      if (tries <= 1) return { ok: false, error: notFound(each.key?.id ?? '') };
      const [again] = await storeJobs(access, [each], tries - 1);
      if (again?.status !== 'fulfilled') throw again?.reason;
      return again.value;
    }),
  );
}

type StoredEntry = readonly [id: string, job: StoredJob];

/**
 * @returns the outcome of one request; undefined when its job was deleted just now, so that the key is free
 * again.
 */
async function enqueueOutcomeOf(
  { guard }: QueueAccess,
  { job, key }: RequestedJob,
  found: ReadonlyMap<string, StoredJob>,
  claimed: ReadonlySet<WrittenJob>,
): Promise<EnqueueOutcome | undefined> {
  const there = key === undefined ? undefined : found.get(key.id);
  if (key === undefined || there === undefined) {
    if (job instanceof QueueError) return { ok: false, error: job };
    if (claimed.has(job)) return { ok: true, job: viewOfNewJob(job), isNew: true };
    return { ok: false, error: reused('a job of another model is being enqueued with it') };
  }
  if (there.mark?.call === key.mark.call && !(job instanceof QueueError)) {
    return { ok: true, job: viewOfNewJob(job), isNew: true };
  }
  if (there.mark?.fingerprint !== key.mark.fingerprint) {
    return { ok: false, error: reused(`${key.id} was enqueued with it, by another request`) };
  }
  const reading = await guard(() => there.queue.read(key.id));
  return reading === null ? undefined : { ok: true, job: reading.view, isNew: false };
}

function reused(why: string): QueueError {
  return new QueueError(
    'idempotency_key_reused',
    `The idempotency key is taken: ${why}. Send the same request to get its job, or use another key`,
  );
}

/**
 * Claims keys for the models of their jobs. Without a claim two calls with the same key could store a job in
 * two models of a Redis Cluster at once, and the request would be bought twice.
 * @returns the jobs that may be stored.
 */
async function claim(access: QueueAccess, requested: readonly RequestedJob[]): Promise<Set<WrittenJob>> {
  const allowed = new Set(requested.flatMap(({ job }) => (job instanceof QueueError ? [] : [job])));
  const keyed = [...allowed].filter((job) => job.key !== undefined);
  if (!needsClaims(access) || keyed.length === 0) return allowed;
  const granted = (await claimIdempotencyKeys.run(access.redis, {
    keys: { claimPrefix: claimKey(access.prefix, '') },
    args: { ttlMs: CLAIM_MS },
    rest: keyed.flatMap(({ id, queue }) => [id, queue.model]),
  })) as number[];
  for (const [i, job] of keyed.entries()) if (granted[i] !== 1) allowed.delete(job);
  return allowed;
}

/**
 * claimKey names a string that holds a model: the model into which the job of an idempotency key is being
 * put, in a Redis Cluster. The key exists only while the job is being enqueued. The claims of all models are
 * in one slot, because the models must agree on a claim.
 */
function claimKey(prefix: string, id: string): string {
  return `${prefix}:claim:{idempotency}:${id}`;
}

/**
 * Removes the claims, because from now on the stored jobs themselves keep their keys from being used in other
 * models. A claim that cannot be removed expires.
 */
function release(access: QueueAccess, wanted: readonly WrittenJob[]): void {
  const ids = wanted.flatMap(({ key }) => (key === undefined ? [] : [key.id]));
  if (!needsClaims(access) || ids.length === 0) return;
  access.redis.unlink(ids.map((id) => claimKey(access.prefix, id))).catch(() => {});
}

/**
 * Finds the jobs of keys that storing does not find: in every model for a request that is refused or whose
 * claim failed, and in a Redis Cluster in the other models for every request. findStored must run after the
 * claim: by then, a call that stores the key's job in another model has stored it.
 */
async function findStored(
  access: QueueAccess,
  requested: readonly RequestedJob[],
  claimed: ReadonlySet<WrittenJob>,
): Promise<Map<string, StoredJob>> {
  const { redis, queues } = access;
  const lookups = requested.flatMap(({ job, key }) => {
    if (key === undefined) return [];
    const isStored = !(job instanceof QueueError) && claimed.has(job);
    if (isStored && !needsClaims(access)) return [];
    const elsewhere = [...queues.values()].filter((queue) => !isStored || queue !== job.queue);
    return elsewhere.map(async (queue): Promise<StoredEntry[]> => {
      const options = await redis.hget(queue.keys.job(key.id), 'opts');
      return options === null ? [] : [[key.id, storedJob(queue, options)]];
    });
  });
  return new Map((await Promise.all(lookups)).flat());
}
