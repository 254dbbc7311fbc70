import type { Redis } from 'ioredis';
import type { QueuedJob } from '../../../src/fair-queue/fair-queue.ts';
import { parkedDelayMs } from '../../../src/fair-queue/parked.ts';
import { storeJobsScript } from '../../../src/lua/enqueue/enqueue.ts';
import { jobScriptKeys, type ModelKeys } from '../../../src/redis/keys.ts';

/** Stores jobs as a producer does, each with its own id as its name and question. */
export async function storeParkedJobs(
  redis: Redis,
  keys: ModelKeys,
  jobs: readonly (QueuedJob & { dueAt?: number | undefined })[],
): Promise<void> {
  for (const tenant of new Set(jobs.map((job) => job.tenant))) {
    const mine = jobs.filter((job) => job.tenant === tenant);
    await storeJobsScript.run(redis, {
      keys: jobScriptKeys(keys, '', tenant),
      args: {
        ...{ tenant, jobPrefix: keys.job(''), runPrefix: keys.run('') },
        ...{ responsePrefix: keys.response(''), eventLogPrefix: keys.eventLog('') },
        ...{ lookIn: JSON.stringify([['o3', keys.job('')]]), wakeChannel: '' },
      },
      rest: mine.flatMap(({ id, createdAt, priority, deadlineAt, dueAt }) => {
        const delay = parkedDelayMs(createdAt, dueAt === undefined ? 'waiting' : 'delayed');
        const options = { jobId: id, timestamp: createdAt, delay, priority, group: { id: tenant } };
        return [
          ...[id, id, JSON.stringify({ question: id }), JSON.stringify(options)],
          ...[createdAt, delay, priority, deadlineAt ?? '', dueAt ?? '', '1', ''],
        ];
      }),
    });
  }
}
