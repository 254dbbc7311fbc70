import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { type Failures, readFailures } from './failures.ts';
import { readHistory, type Sample } from './history.ts';
import { readTenants, type Tenants } from './tenants.ts';
import { readWorkload, type Workload } from './workload.ts';

/**
 * Overview is what one caller may see of many jobs at once. Nothing of it costs more with more jobs.
 *
 * @throws {QueueError} `redis_unavailable` from every method.
 */
export interface Overview {
  /** workload counts the jobs that have not ended, for each model. */
  workload(): Promise<Workload>;
  /**
   * history reads how each model stood since a time (Unix ms), every five minutes, at most a week back. It is
   * empty for a tenant, because samples count the jobs of all tenants.
   */
  history(since: number): Promise<ReadonlyMap<string, Sample[]>>;
  /** failures groups the newest failed jobs by what they failed of. */
  failures(): Promise<Failures>;
  /** tenants reads what each tenant waits for, holds and has spent today. */
  tenants(): Promise<Tenants>;
}

/** @param tenant the only tenant that the caller may see; undefined: all. */
export function createOverview(access: QueueAccess, tenant: string | undefined): Overview {
  const { redis, queues, guard } = access;
  return {
    workload: () => guard(() => readWorkload(redis, queues.values(), tenant)),
    async history(since) {
      if (tenant !== undefined) return new Map();
      const read = async (queue: ModelQueue) =>
        [queue.model, await readHistory(redis, queue, since)] as const;
      return guard(async () => new Map(await Promise.all([...queues.values()].map(read))));
    },
    failures: () => guard(() => readFailures(redis, queues, tenant)),
    tenants: () => guard(() => readTenants(access, tenant)),
  };
}
