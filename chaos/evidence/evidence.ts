import { Cluster } from 'ioredis';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { JobView } from '../../src/job/view.ts';
import { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { connectRedis, type RedisClient } from '../../src/redis/connection.ts';
import type { ModelKeys } from '../../src/redis/keys.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import type { History, JobHistory } from './history.ts';
import { isRunning, jobNameIn, type LedgerEntry, purchasesByJob, readLedger } from './ledger.ts';

/** JobEvidence is everything that is known about one job at the end. */
export interface JobEvidence {
  history: JobHistory;
  /** The job's last view; undefined: the instance does not know the job. */
  last: JobView | undefined;
  /** BullMQ's state of the job. */
  bullmq: string | undefined;
  /** The job's purchases, oldest first. */
  bought: LedgerEntry[];
}

/**
 * Leftovers lists what is still there when every job has ended. All lists should be empty. They hold the ids
 * of jobs, except for `running`, which holds their names.
 */
export interface Leftovers {
  locks: string[];
  active: string[];
  live: string[];
  running: string[];
}

/** Evidence is everything that is known at the end. */
export interface Evidence {
  jobs: JobEvidence[];
  leftovers: Leftovers;
}

/**
 * How long the clean-up may take, in milliseconds: a response may still run to its end, and a worker may
 * still write its last records.
 */
const TIDY_LIMIT_MS = 20_000;
const LOOKS_AT_ONCE = 20;

/** gatherEvidence asks Redis, BullMQ, the instance and the ledger, once nothing runs any more. */
export async function gatherEvidence(fleet: Fleet, history: History, signal: AbortSignal): Promise<Evidence> {
  const queue = new InstanceQueue({ redisUrl: fleet.redis.url, ...fleet.models });
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  try {
    const { queues } = queue;
    const ofEach = async (read: (keys: ModelKeys) => Promise<string[]>): Promise<string[]> =>
      (await Promise.all(queues.map(({ keys }) => read(keys)))).flat();
    let leftovers: Leftovers = { locks: [], active: [], live: [], running: [] };
    const isTidy = async (): Promise<boolean> => {
      const { responses } = await readLedger(fleet.upstreamUrl);
      leftovers = {
        locks: await ofEach((keys) => keysLike(redis, keys.lock('*'))),
        active: await ofEach((keys) => redis.lrange(keys.queue('active'), '0', '-1')),
        live: await ofEach(async (keys) =>
          existing(redis, keys, await redis.zrange(keys.index('live'), '0', '-1')),
        ),
        running: responses.filter(isRunning).map(({ question }) => jobNameIn(question)),
      };
      return Object.values(leftovers).every((list) => list.length === 0);
    };
    await becomes(isTidy, TIDY_LIMIT_MS, signal, 200);

    const bought = purchasesByJob(await readLedger(fleet.upstreamUrl));
    const jobs: JobEvidence[] = [];
    await inParallel([...history.jobs.values()], LOOKS_AT_ONCE, async (job) => {
      signal.throwIfAborted();
      const last = job.id === undefined ? undefined : await look(fleet, job.id);
      if (last !== undefined) history.saw(last);
      const model = queues.find((one) => one.model === last?.model);
      const state = job.id === undefined ? undefined : await model?.bullmq.getJobState(job.id);
      jobs.push({ history: job, last, bullmq: state, bought: bought.get(job.name) ?? [] });
    });
    return { jobs, leftovers };
  } finally {
    redis.disconnect();
    await queue.close();
  }
}

/** Returns the ids whose jobs exist. A BullMQ client that removes a job leaves an entry without a job. */
async function existing(redis: RedisClient, keys: ModelKeys, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => redis.exists(keys.job(id))));
  return ids.filter((_, i) => found[i] === 1);
}

async function look({ client }: Fleet, id: string): Promise<JobView | undefined> {
  try {
    return await client.get(id);
  } catch (error: unknown) {
    if (error instanceof O3ClientError && error.status === 404) return undefined;
    throw error;
  }
}

async function keysLike(redis: RedisClient, pattern: string): Promise<string[]> {
  const servers = redis instanceof Cluster ? redis.nodes('master') : [redis];
  return (await Promise.all(servers.map((server) => server.keys(pattern)))).flat();
}
