import type { QueueAccess } from '../model-queue/queue-access.ts';
import { type Failures, readFailures } from './failures.ts';
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
    failures: () => guard(() => readFailures(redis, queues, tenant)),
    tenants: () => guard(() => readTenants(access, tenant)),
  };
}
