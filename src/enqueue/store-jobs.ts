import { Cluster } from 'ioredis';
import { QueueError } from '../errors/problem.ts';
import { DISPATCHER_LOOKS_EVERY_MS } from '../fair-queue/fair-queue.ts';
import type { BulkOutcome } from '../job/job-queue.ts';
import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import { NO_TENANT } from '../job/tenant.ts';
import { notFound } from '../job-store/find.ts';
import {
  limitRefusal,
  readTenantUse,
  type StorageLimits,
  storageLimitsOf,
  type TenantUse,
} from '../job-store/tenant-limits.ts';
import { claimIdempotencyKeys, type StoreAnswer, storeJobsScript } from '../lua/enqueue/enqueue.ts';
import { LARGE_BYTES } from '../model-queue/large-connection.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import type { RedisClient } from '../redis/connection.ts';
import { claimKey, jobScriptKeys } from '../redis/keys.ts';
import type { SendSpan } from '../tracing/send.ts';
import type { JobKey } from './idempotency.ts';
import { fieldsOf, viewOfNewJob, type WrittenJob } from './new-job.ts';

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
/** How many jobs one script stores. Redis does nothing else meanwhile, for a few milliseconds. */
const AT_ONCE = 100;
const NOTHING: TenantUse = { waiting: 0, bytes: 0 };

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
 * needsClaims says whether the models are in different slots, so that no script can look into all of them.
 */
function needsClaims({ redis, queues }: QueueAccess): boolean {
  return redis instanceof Cluster && queues.size > 1;
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

function storedJob(queue: ModelQueue, options: string): StoredJob {
  return { queue, mark: optionsFrom(JSON.parse(options)).idempotency };
}

/** NotStored is a job that was not stored: it existed already (`stored`), or it is refused (`error`). */
type NotStored =
  | { job: WrittenJob; stored: StoredJob; error?: undefined }
  | { job: WrittenJob; error: QueueError };

async function storeInQueues(access: QueueAccess, wanted: readonly WrittenJob[]): Promise<NotStored[]> {
  const queues = [...new Set(wanted.map(({ queue }) => queue))];
  const answers = queues.map(async (queue) => {
    const mine = wanted.filter((job) => job.queue === queue);
    const tenant = tenantOf(mine[0]);
    const limits = await storageLimitsOf(access.models, tenant, access.memory);
    const elsewhere = limits === undefined ? NOTHING : await useElsewhere(access, queue, tenant);
    const notStored: NotStored[] = [];
    // One after the other: between two of them Redis serves the calls of others.
    for (const chunk of chunksOf(mine))
      notStored.push(...(await storeChunk(access, queue, chunk, limits, elsewhere)));
    return notStored;
  });
  return (await Promise.all(answers)).flat();
}

/** Splits jobs into the parts that one script each stores. A job of `LARGE_BYTES` has a script of its own. */
function chunksOf(jobs: readonly WrittenJob[]): WrittenJob[][] {
  const chunks: WrittenJob[][] = [];
  let characters = 0;
  for (const job of jobs) {
    const { length } = job.json;
    const chunk = chunks.at(-1);
    characters += length;
    if (chunk !== undefined && chunk.length < AT_ONCE && characters <= LARGE_BYTES) chunk.push(job);
    else {
      chunks.push([job]);
      characters = length;
    }
  }
  return chunks;
}

function tenantOf(job: WrittenJob | undefined): string {
  return job?.options.group?.id ?? NO_TENANT;
}

/**
 * Reads what a tenant with a limit has stored in the other models of a Redis Cluster. Elsewhere the script
 * itself reads it.
 */
async function useElsewhere(access: QueueAccess, queue: ModelQueue, tenant: string): Promise<TenantUse> {
  if (!needsClaims(access)) return NOTHING;
  const others = [...access.queues.values()].filter((other) => other !== queue);
  return readTenantUse(access.redis, others, tenant);
}

async function storeChunk(
  access: QueueAccess,
  queue: ModelQueue,
  jobs: readonly WrittenJob[],
  limits: StorageLimits | undefined,
  elsewhere: TenantUse,
): Promise<NotStored[]> {
  const { redis, queues } = access;
  const { keys } = queue;
  const tenant = tenantOf(jobs[0]);
  const others = needsClaims(access) ? [] : [...queues.values()].filter((other) => other !== queue);
  // A job that is due later needs no signal: until then each dispatcher looks by itself.
  const wakes = jobs.some(({ delayMs }) => delayMs < DISPATCHER_LOOKS_EVERY_MS);
  const call = {
    keys: jobScriptKeys(keys, '', tenant),
    args: {
      tenant,
      lookIn: JSON.stringify([queue, ...others].map((each) => [each.model, each.keys.job('')])),
      jobPrefix: keys.job(''),
      runPrefix: keys.run(''),
      responsePrefix: keys.response(''),
      eventLogPrefix: keys.eventLog(''),
      wakeChannel: wakes ? keys.fairQueue('wake') : '',
      mostWaiting: limits?.maxWaiting ?? '',
      mostBytes: limits?.maxBytes ?? '',
      useElsewhere: JSON.stringify(
        others.map((other) => [other.keys.tenantLive(tenant), other.keys.tenantStored(tenant)]),
      ),
      waitingElsewhere: elsewhere.waiting,
      bytesElsewhere: elsewhere.bytes,
    },
    rest: jobs.flatMap(fieldsOf),
  };
  const run = (client: RedisClient) => storeJobsScript.run(client, call);
  const isLarge = (jobs[0]?.json.length ?? 0) >= LARGE_BYTES;
  const answers = (await (isLarge ? access.large.use(run) : run(redis))) as StoreAnswer[];
  return answers.flatMap((answer, i): NotStored[] => {
    const job = jobs[i];
    if (job === undefined || answer[0] === 'new') return [];
    if (answer[0] === 'refused') {
      if (limits === undefined) throw new Error('expected a refusal only for a tenant with limits');
      return [{ job, error: limitRefusal(tenant, limits, answer[1], answer[2]) }];
    }
    const at = queues.get(answer[1]);
    return at === undefined ? [] : [{ job, stored: storedJob(at, answer[2]) }];
  });
}
