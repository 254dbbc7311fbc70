import { O3ClientError } from '../../src/client/client-error.ts';
import type { JobView } from '../../src/job/view.ts';
import { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import type { History, JobHistory } from './history.ts';
import { isRunning, jobNameIn, type LedgerEntry, purchasesByJob, readLedger } from './ledger.ts';

/** What is known of one job after a run. */
export interface JobEvidence {
  history: JobHistory;
  /** undefined: nobody knows it any more. */
  last: JobView | undefined;
  /** BullMQ's own state. */
  bullmq: string | undefined;
  /** Oldest first. */
  bought: LedgerEntry[];
}

/** What should be empty when every job has ended: ids of jobs, and for `running` their names. */
export interface Leftovers {
  locks: string[];
  active: string[];
  live: string[];
  running: string[];
}

export interface Evidence {
  jobs: JobEvidence[];
  leftovers: Leftovers;
}

/** Time to be tidy: a leftover response may think to its end, and a worker's last bookkeeping is under way. */
const TIDY_LIMIT_MS = 20_000;
const LOOKS_AT_ONCE = 20;

/** Looks at everything, from every side, when all is quiet. */
export async function gatherEvidence(fleet: Fleet, history: History, signal: AbortSignal): Promise<Evidence> {
  const queue = new InstanceQueue({ redisUrl: fleet.redis.url });
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  try {
    const [model] = queue.queues;
    if (model === undefined) throw new Error('expected a model in the default configuration');
    const { keys, bullmq } = model;
    let leftovers: Leftovers = { locks: [], active: [], live: [], running: [] };
    const isTidy = async (): Promise<boolean> => {
      const { responses } = await readLedger(fleet.upstreamUrl);
      leftovers = {
        locks: await redis.keys(keys.lock('*')),
        active: await redis.lrange(keys.queue('active'), '0', '-1'),
        live: await redis.zrange(keys.index('live'), '0', '-1'),
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
      const state = job.id === undefined ? undefined : await bullmq.getJobState(job.id);
      jobs.push({ history: job, last, bullmq: state, bought: bought.get(job.name) ?? [] });
    });
    return { jobs, leftovers };
  } finally {
    redis.disconnect();
    await queue.close();
  }
}

async function look({ client }: Fleet, id: string): Promise<JobView | undefined> {
  try {
    return await client.get(id);
  } catch (error: unknown) {
    if (error instanceof O3ClientError && error.status === 404) return undefined;
    throw error;
  }
}
