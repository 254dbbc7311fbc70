import { QueueError } from '../errors/problem.ts';
import { DISPATCHER_LOOKS_EVERY_MS, orderOf } from '../fair-queue/fair-queue.ts';
import type { BulkOutcome } from '../job/job-queue.ts';
import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import { NO_TENANT } from '../job/tenant.ts';
import { notFound } from '../job-store/find.ts';
import { claimIdempotencyKeys, enlistJobs } from '../lua/enqueue/enqueue.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { claimKey, jobScriptKeys } from '../redis/keys.ts';
import type { JobKey } from './idempotency.ts';
import { type NewJob, viewOfNewJob } from './new-job.ts';

/** EnqueueOutcome is the outcome of one request. */
export type EnqueueOutcome = BulkOutcome<QueueError>;

/** RequestedJob is a request that is about to be stored. */
export interface RequestedJob {
  /**
   * The job, or why the request is refused. A request that repeats an earlier one finds the existing job even
   * if it would now be refused, for example after the deadline or when the budget is used up.
   */
  job: NewJob | QueueError;
  /** undefined: the request came without an idempotency key. */
  key: JobKey | undefined;
}

/** How long a claim lasts, in milliseconds: longer than a producer takes to store a job, or to give up. */
const CLAIM_MS = 10_000;
/** How many times a request is tried in all, when the job that it found is deleted meanwhile. */
const MOST_TRIES = 3;

/**
 * storeJobs stores the jobs of one tenant, and finds the existing jobs of their idempotency keys. The id of a
 * job with a key is computed from the key, and BullMQ never adds a second job with the same id. So of twenty
 * simultaneous calls only one creates the job, and the stored job has the mark of that call.
 *
 * Each step is one round trip for each model, for any number of jobs:
 *
 * 1. *Claim* (only with keys and two models or more): only one model may store a key's job.
 * 2. *Look* (only with keys): finds the jobs of keys that step 3 would not find.
 * 3. *Enlist*: a script adds the jobs to the indexes and to the fair queue, unless a job of the same id
 *    exists.
 * 4. *Add*: BullMQ gets the jobs that did not exist.
 * 5. *Compare* (only with keys): checks which call's mark the job has.
 *
 * A crash before step 4 leaves at most entries of the indexes and of the fair queue without a job, which
 * readers skip and later drop, and a claim, which expires. A repeated call enlists and adds the job again. A
 * crash after 4 leaves a job that no caller knows; a repeated call finds it. Step 3 must come before 4: a job
 * without an entry in the fair queue would wait for ever.
 */
export async function storeJobs(
  access: QueueAccess,
  requested: readonly RequestedJob[],
  tries = MOST_TRIES,
): Promise<EnqueueOutcome[]> {
  const claimed = await claim(access, requested);
  const found = await findStored(access, requested, claimed);
  const wanted = requested.flatMap(({ job, key }) => {
    if (job instanceof QueueError || (key !== undefined && found.has(key.id))) return [];
    return claimed.has(job) ? [{ job, key }] : [];
  });
  const perQueue = [...new Set(wanted.map(({ job }) => job.queue))].map(async (queue) => {
    const mine = wanted.filter(({ job }) => job.queue === queue);
    const known = await enlist(access, queue, mine);
    const missing = mine.filter((_, i) => known[i] === undefined);
    await addToBullmq(
      queue,
      missing.map(({ job }) => job),
    );
    const keyed = missing.flatMap(({ key }) => (key === undefined ? [] : [key.id]));
    const added = await storedIn(access, queue, keyed);
    return [...mine.flatMap(({ job }, i) => stored(queue, job.id, known[i])), ...added];
  });
  for (const [id, job] of (await Promise.all(perQueue)).flat()) found.set(id, job);
  release(access, wanted);
  return Promise.all(
    requested.map(async (each): Promise<EnqueueOutcome> => {
      const outcome = await enqueueOutcomeOf(each, found, claimed);
      if (outcome !== undefined) return outcome;
      const [again] = tries > 1 ? await storeJobs(access, [each], tries - 1) : [];
      return again ?? { ok: false, error: notFound(each.key?.id ?? '') };
    }),
  );
}

interface StoredJob {
  queue: ModelQueue;
  /**
   * The mark of the call that stored the job; undefined: another BullMQ client stored the job, without a key.
   */
  mark: StoredOptions['idempotency'];
}
type StoredEntry = readonly [id: string, job: StoredJob];

/**
 * @returns the outcome of one request; undefined when its job was deleted just now, so that the key is free
 * again.
 */
async function enqueueOutcomeOf(
  { job, key }: RequestedJob,
  found: ReadonlyMap<string, StoredJob>,
  claimed: ReadonlySet<NewJob>,
): Promise<EnqueueOutcome | undefined> {
  const there = key === undefined ? undefined : found.get(key.id);
  if (key === undefined || there === undefined) {
    if (job instanceof QueueError) return { ok: false, error: job };
    // This call added the job. If the read after it did not find the job, another caller deleted it in
    // between.
    if (claimed.has(job)) return { ok: true, job: viewOfNewJob(job), isNew: true };
    return { ok: false, error: reused('a job of another model is being enqueued with it') };
  }
  if (there.mark?.call === key.mark.call && !(job instanceof QueueError)) {
    return { ok: true, job: viewOfNewJob(job), isNew: true };
  }
  if (there.mark?.fingerprint !== key.mark.fingerprint) {
    return { ok: false, error: reused(`${key.id} was enqueued with it, by another request`) };
  }
  const reading = await there.queue.read(key.id);
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
 * two models at once, and the request would be bought twice. With only one model no claim is needed.
 * @returns the jobs that may be stored.
 */
async function claim(
  { prefix, redis, queues }: QueueAccess,
  requested: readonly RequestedJob[],
): Promise<Set<NewJob>> {
  const allowed = new Set(requested.flatMap(({ job }) => (job instanceof QueueError ? [] : [job])));
  const keyed = [...allowed].filter((job) => job.key !== undefined);
  if (queues.size === 1 || keyed.length === 0) return allowed;
  const granted = (await claimIdempotencyKeys.run(redis, {
    keys: { claimPrefix: claimKey(prefix, '') },
    args: { ttlMs: CLAIM_MS },
    rest: keyed.flatMap(({ id, queue }) => [id, queue.model]),
  })) as number[];
  for (const [i, job] of keyed.entries()) if (granted[i] !== 1) allowed.delete(job);
  return allowed;
}

/**
 * Removes the claims, because from now on the stored jobs themselves keep their keys from being used in other
 * models. A claim that cannot be removed expires.
 */
function release({ prefix, redis, queues }: QueueAccess, wanted: readonly RequestedJob[]): void {
  const ids = wanted.flatMap(({ key }) => (key === undefined ? [] : [key.id]));
  if (queues.size === 1 || ids.length === 0) return;
  redis.unlink(ids.map((id) => claimKey(prefix, id))).catch(() => {});
}

/**
 * Finds the jobs of keys that enlisting does not find: in other models, and in every model for a request that
 * is refused or whose claim failed. findStored must run after the claim: by then, a call that stores the
 * key's job in another model has stored it.
 */
async function findStored(
  access: QueueAccess,
  requested: readonly RequestedJob[],
  claimed: ReadonlySet<NewJob>,
): Promise<Map<string, StoredJob>> {
  const found = await Promise.all(
    [...access.queues.values()].map((queue) => {
      const elsewhere = requested.filter(
        ({ job }) => job instanceof QueueError || job.queue !== queue || !claimed.has(job),
      );
      return storedIn(
        access,
        queue,
        elsewhere.flatMap(({ key }) => (key === undefined ? [] : [key.id])),
      );
    }),
  );
  return new Map(found.flat());
}

async function storedIn(
  { redis }: QueueAccess,
  queue: ModelQueue,
  ids: readonly string[],
): Promise<StoredEntry[]> {
  const options = await Promise.all(ids.map((id) => redis.hget(queue.keys.job(id), 'opts')));
  return ids.flatMap((id, i) => stored(queue, id, options[i] ?? undefined));
}

function stored(queue: ModelQueue, id: string, options: string | undefined): StoredEntry[] {
  if (options === undefined) return [];
  return [[id, { queue, mark: optionsFrom(JSON.parse(options)).idempotency }]];
}

/**
 * @returns for each job the options of the job that already exists under its id; undefined: no such job
 * exists.
 */
async function enlist(
  { redis }: QueueAccess,
  { keys }: ModelQueue,
  jobs: readonly { job: NewJob }[],
): Promise<(string | undefined)[]> {
  const tenant = jobs[0]?.job.options.group?.id ?? NO_TENANT;
  const known = (await enlistJobs.run(redis, {
    keys: jobScriptKeys(keys, '', tenant),
    args: {
      tenant,
      jobPrefix: keys.job(''),
      runPrefix: keys.run(''),
      responsePrefix: keys.response(''),
      eventLogPrefix: keys.eventLog(''),
    },
    rest: jobs.flatMap(({ job: { id, key, createdAt, delayMs, data, options } }) => [
      id,
      createdAt,
      orderOf({ createdAt, priority: options.priority ?? 0 }),
      data.deadline === undefined ? '' : Date.parse(data.deadline),
      // A delayed job enters the fair queue when it is due.
      delayMs > 0 ? createdAt + delayMs : '',
      key === undefined ? '' : '1',
    ]),
  })) as string[];
  return known.map((options) => (options === '' ? undefined : options));
}

async function addToBullmq({ bullmq, fairQueue }: ModelQueue, jobs: readonly NewJob[]): Promise<void> {
  const [job] = jobs;
  if (job === undefined) return;
  if (jobs.length === 1) await bullmq.add(job.name, job.data, job.options);
  else await bullmq.addBulk(jobs.map(({ name, data, options }) => ({ name, data, opts: options })));
  // The wake-up message is not awaited: a dispatcher that misses it looks at the queue within a second.
  if (jobs.some(({ delayMs }) => delayMs < DISPATCHER_LOOKS_EVERY_MS)) fairQueue.announce().catch(() => {});
}
