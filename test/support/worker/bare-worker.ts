import { type Job, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { createFairQueue } from '../../../src/fair-queue/fair-queue.ts';
import type { JobData } from '../../../src/job/request.ts';
import { keysOf } from '../../../src/redis/keys.ts';

/** A worker that is BullMQ's and nothing of ours: it holds jobs, and does with them what the test says. */
export interface BareWorker {
  /**
   * The next job, started from the fairQueue without a look at any quota, and held by a lock with this token.
   * Fails when there is none.
   */
  take(token: string): Promise<Job<JobData>>;
  /** As if its process had died: the lock is gone, and a check for stalled jobs has given it back. */
  die(job: Job<JobData>): Promise<void>;
  close(): Promise<void>;
}

/** Locks outlive every test; a lost one is found within two checks. */
const LOCK_MS = 600_000;
const STALLED_MS = 20;

export function createBareWorker(redisUrl: string, queueName = '{o3}'): BareWorker {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const worker = new Worker<JobData>(queueName, null, {
    connection: redis,
    prefix: 'o3q',
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_MS,
    maxStalledCount: 1000,
  });
  const fairQueue = createFairQueue(redis, keysOf('o3q', queueName.slice(1, -1)), { tenants: {} });
  const next = (token: string) => worker.getNextJob(token, { block: false });
  const startNext = async (token: string) => {
    const { jobs } = await fairQueue.next(1);
    await fairQueue.start(jobs.map(({ id, tenant }) => ({ id, tenant, reservedModel: 'o3' })));
    return next(token);
  };
  return {
    async take(token) {
      const job = (await next(token)) ?? (await startNext(token));
      if (job === undefined) throw new Error('expected a job in the fair queue, found none');
      return job;
    },
    async die(job) {
      const givenBack = new Promise<void>((resolve) => {
        worker.on('stalled', (id) => id === job.id && resolve());
      });
      await redis.del(`o3q:${queueName}:${job.id}:lock`);
      await worker.startStalledCheckTimer();
      await givenBack;
    },
    async close() {
      await worker.close();
      redis.disconnect();
    },
  };
}
