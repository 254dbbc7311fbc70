import { QueueError } from '../errors/problem.ts';
import { type OurOptions, optionsFrom } from '../job/stored-options.ts';
import type { JobView } from '../job/view.ts';
import { notFound } from '../job-store/find.ts';
import { claimIdempotencyKeys, indexNewJobs } from '../lua/enqueue.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueCore } from '../queue/queue-core.ts';
import { claimKey, modelScriptKeys } from '../redis/keys.ts';
import { addToBullmq, type NewJob, viewOfNewJob } from './new-job.ts';

/** What became of a request; `isNew`: false where its key had this job already. */
export type EnqueueOutcome = { ok: true; job: JobView; isNew: boolean } | { ok: false; error: QueueError };

/** A request with an idempotency key, on its way into Redis. */
export interface KeyedJob {
  /** Which follows from its key. */
  id: string;
  mark: NonNullable<OurOptions['idempotency']>;
  /** Or why it could not be put in; a repeat finds its job all the same, after the deadline too. */
  job: NewJob | QueueError;
}

/** Longer than it takes to put a job in, or to give up doing so. */
const CLAIM_MS = 10_000;
/** How often a job may be forgotten while its key is looked up. */
const MOST_TRIES = 3;

/**
 * Puts each job in unless its key has one. Its id follows from the key, and BullMQ never puts a second job in under one id; so of twenty
 * callers at once one is right, and the job tells which: it carries that caller's mark.
 *
 * A crash
 * - before the job is in leaves at most an entry in the lists, which they pass over, and a claim, which runs out: a repeat puts it in;
 * - after that leaves a job that nobody was told of: a repeat finds it.
 *
 * Each step is one round trip a model, however many jobs there are.
 */
export async function enqueueOnce(
  core: QueueCore,
  jobs: readonly KeyedJob[],
  tries = MOST_TRIES,
): Promise<EnqueueOutcome[]> {
  if (jobs.length === 0) return [];
  const claimed = await claim(core, jobs);
  // After the claim: who put in a job of another model has done so by now, or it holds the claim.
  const before = await storedMarks(
    core,
    [...core.queues.values()],
    jobs.map(({ id }) => id),
  );
  const wanted = [...claimed].filter(({ id }) => !before.has(id));
  const after = await Promise.all(
    [...new Set(wanted.map(({ queue }) => queue))].map(async (queue) => {
      const mine = wanted.filter((job) => job.queue === queue);
      await reserve(core, queue, mine);
      await addToBullmq(queue, mine);
      return storedMarks(
        core,
        [queue],
        mine.map(({ id }) => id),
      );
    }),
  );
  await release(core, claimed);
  const stored = new Map([before, ...after].flatMap((marks) => [...marks]));
  return Promise.all(
    jobs.map(async (keyed) => {
      const outcome = await outcomeOf(keyed, stored.get(keyed.id), claimed);
      if (outcome !== undefined) return outcome;
      const [again] = tries > 1 ? await enqueueOnce(core, [keyed], tries - 1) : [];
      return again ?? { ok: false, error: notFound(keyed.id) };
    }),
  );
}

interface StoredMark {
  queue: ModelQueue;
  /** undefined: put in by another BullMQ client, without a key. */
  mark: OurOptions['idempotency'];
}

/** undefined: the job was forgotten in this instant, so that its key is free again. */
async function outcomeOf(
  { id, job, mark }: KeyedJob,
  stored: StoredMark | undefined,
  claimed: ReadonlySet<NewJob>,
): Promise<EnqueueOutcome | undefined> {
  if (stored === undefined) {
    if (job instanceof QueueError) return { ok: false, error: job };
    // Put in, and forgotten in the same instant.
    if (claimed.has(job)) return { ok: true, job: viewOfNewJob(job), isNew: true };
    return { ok: false, error: reused('a job of another model is being enqueued with it') };
  }
  if (stored.mark?.call === mark.call && !(job instanceof QueueError)) {
    return { ok: true, job: viewOfNewJob(job), isNew: true };
  }
  if (stored.mark?.fingerprint !== mark.fingerprint) {
    return { ok: false, error: reused(`${id} was enqueued with it, by another request`) };
  }
  const reading = await stored.queue.read(id);
  return reading === null ? undefined : { ok: true, job: reading.view, isNew: false };
}

function reused(why: string): QueueError {
  return new QueueError(
    'idempotency_key_reused',
    `The idempotency key is taken: ${why}. Send the same request to find its job, or take another key`,
  );
}

/**
 * With one model there is nothing to agree on. Otherwise the same key could be put in for two models at once, and would be
 * bought twice. @returns those that may be put in.
 */
async function claim({ prefix, redis, queues }: QueueCore, jobs: readonly KeyedJob[]): Promise<Set<NewJob>> {
  const mine = jobs.flatMap(({ job }) => (job instanceof QueueError ? [] : [job]));
  if (queues.size === 1 || mine.length === 0) return new Set(mine);
  const granted = (await claimIdempotencyKeys.run(redis, {
    keys: { claimPrefix: claimKey(prefix, '') },
    args: { ttlMs: CLAIM_MS },
    rest: mine.flatMap(({ id, queue }) => [id, queue.model]),
  })) as number[];
  return new Set(mine.filter((_, i) => granted[i] === 1));
}

/** Now the jobs themselves keep others out. A claim that another model has taken since only makes that one look, and find them. */
async function release({ prefix, redis, queues }: QueueCore, claimed: ReadonlySet<NewJob>): Promise<void> {
  if (queues.size === 1 || claimed.size === 0) return;
  await redis.unlink([...claimed].map(({ id }) => claimKey(prefix, id)));
}

async function reserve({ redis }: QueueCore, { keys }: ModelQueue, jobs: readonly NewJob[]): Promise<void> {
  const tenant = jobs[0]?.options.group?.id ?? '';
  await indexNewJobs.run(redis, {
    keys: { ...modelScriptKeys(keys), tenantIndex: keys.tenantIndex(tenant) },
    args: {
      tenant,
      ...{ jobPrefix: keys.job(''), runPrefix: keys.run('') },
      ...{ responsePrefix: keys.response(''), eventLogPrefix: keys.eventLog('') },
    },
    rest: jobs.flatMap(({ id, createdAt }) => [id, createdAt]),
  });
}

/** By id, of those jobs that are there. */
async function storedMarks(
  { redis }: QueueCore,
  queues: readonly ModelQueue[],
  ids: readonly string[],
): Promise<Map<string, StoredMark>> {
  const found = await Promise.all(
    queues.map(async (queue) => {
      const stored = await Promise.all(ids.map((id) => redis.hget(queue.keys.job(id), 'opts')));
      return ids.flatMap((id, i) => {
        const options = stored[i] ?? null;
        return options === null ? [] : [[id, { queue, mark: markIn(options) }] as const];
      });
    }),
  );
  return new Map(found.flat());
}

function markIn(options: string): OurOptions['idempotency'] {
  return optionsFrom(JSON.parse(options)).idempotency;
}
