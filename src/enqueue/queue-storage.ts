import { Cluster } from 'ioredis';
import type { QueueError } from '../errors/problem.ts';
import { DISPATCHER_LOOKS_EVERY_MS } from '../fair-queue/fair-queue.ts';
import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import { NO_TENANT } from '../job/tenant.ts';
import {
  limitRefusal,
  readTenantUse,
  type StorageLimits,
  storageLimitsOf,
  type TenantUse,
} from '../job-store/tenant-limits.ts';
import { type StoreAnswer, storeJobsScript } from '../lua/enqueue/enqueue.ts';
import { LARGE_BYTES } from '../model-queue/large-connection.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import type { RedisClient } from '../redis/connection.ts';
import { jobScriptKeys } from '../redis/keys.ts';
import { fieldsOf, type WrittenJob } from './new-job.ts';

/** How many jobs one script stores. Redis does nothing else meanwhile, for a few milliseconds. */
const AT_ONCE = 100;
const NOTHING: TenantUse = { waiting: 0, bytes: 0 };

/** StoredJob is a job that is already stored. */
export interface StoredJob {
  queue: ModelQueue;
  /**
   * The mark of the call that stored the job; undefined: another BullMQ client stored the job, without a key.
   */
  mark: StoredOptions['idempotency'];
}

/** storedJob reads the `opts` of a stored job. */
export function storedJob(queue: ModelQueue, options: string): StoredJob {
  return { queue, mark: optionsFrom(JSON.parse(options)).idempotency };
}

/** NotStored is a job that was not stored: it existed already (`stored`), or it is refused (`error`). */
type NotStored =
  | { job: WrittenJob; stored: StoredJob; error?: undefined }
  | { job: WrittenJob; error: QueueError };

/**
 * storeInQueues stores jobs in the queues of their models.
 * @returns the jobs that were not stored.
 */
export async function storeInQueues(
  access: QueueAccess,
  wanted: readonly WrittenJob[],
): Promise<NotStored[]> {
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

/**
 * needsClaims says whether the models are in different slots, so that no script can look into all of them.
 */
export function needsClaims({ redis, queues }: QueueAccess): boolean {
  return redis instanceof Cluster && queues.size > 1;
}
