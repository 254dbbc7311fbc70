import type { Redis } from 'ioredis';
import { orderOf, type QueuedJob } from '../../../src/fair-queue/fair-queue.ts';
import { enlistJobs } from '../../../src/lua/enqueue/enqueue.ts';
import { jobScriptKeys, type ModelKeys } from '../../../src/redis/keys.ts';

/**
 * Enters jobs into the fair queue, as an enqueue with an idempotency key does just before BullMQ gets them.
 */
export async function enlist(
  redis: Redis,
  keys: ModelKeys,
  jobs: readonly (QueuedJob & { dueAt?: number | undefined })[],
): Promise<void> {
  for (const tenant of new Set(jobs.map((job) => job.tenant))) {
    const mine = jobs.filter((job) => job.tenant === tenant);
    await enlistJobs.run(redis, {
      keys: jobScriptKeys(keys, '', tenant),
      args: {
        ...{ tenant, jobPrefix: keys.job(''), runPrefix: keys.run('') },
        ...{ responsePrefix: keys.response(''), eventLogPrefix: keys.eventLog('') },
      },
      rest: mine.flatMap((job) => [
        ...[job.id, job.createdAt, orderOf(job), job.deadlineAt ?? '', job.dueAt ?? '', '1'],
      ]),
    });
  }
}
