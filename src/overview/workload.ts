import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';

/** ModelWorkload is how many jobs of one model have not ended, as one caller may see them. */
export interface ModelWorkload {
  model: string;
  /** Jobs that have not ended: waiting, delayed and active ones. */
  unfinished: number;
  /** Jobs in the fair queue. */
  waiting: number;
  /** The part of `waiting` whose tenants may start jobs now. */
  runnable: number;
  /** Active jobs; null: the caller sees the jobs of one tenant only, and these are not counted by tenant. */
  active: number | null;
  /**
   * When the oldest unfinished job was created, in ISO 8601; null: there is none. For the jobs of one tenant:
   * when the job that starts next was created.
   */
  oldest_at: string | null;
  /** What the next job waits for, in words; null: no job waits, or jobs start as they come. */
  waits_for: string | null;
}

/** Workload is a reading of all models at one time. */
export interface Workload {
  /** The time of the reading on the clock of Redis, in Unix milliseconds. */
  at: number;
  models: ModelWorkload[];
}

/**
 * readWorkload counts the jobs that have not ended. It reads lengths and first entries only, so its cost does
 * not grow with the number of jobs. It grows with the number of tenants that are paused.
 *
 * @param tenant the tenant whose jobs are counted; undefined: all jobs.
 */
export async function readWorkload(
  redis: RedisClient,
  queues: Iterable<ModelQueue>,
  tenant: string | undefined,
): Promise<Workload> {
  const at = serverTime(redis);
  const models = [...queues].map(async (queue): Promise<ModelWorkload> => {
    const counts =
      tenant === undefined ? await ofAll(redis, queue, at) : await ofTenant(redis, queue, tenant, at);
    return { model: queue.model, ...counts };
  });
  return { at, models: await Promise.all(models) };
}

type Counts = Omit<ModelWorkload, 'model'>;

async function ofAll(redis: RedisClient, queue: ModelQueue, at: number): Promise<Counts> {
  const { keys, bullmqSets, fairQueue } = queue;
  const [unfinished, waiting, active, [, oldest], paused, status] = await Promise.all([
    redis.zcard(keys.index('live')),
    bullmqSets.parkedCount(),
    redis.llen(keys.queue('active')),
    redis.zrangebyscore(keys.index('live'), '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1),
    redis.zrangebyscore(keys.fairQueue('paused'), `(${at}`, '+inf'),
    fairQueue.status(),
  ]);
  const held = await Promise.all(paused.map((tenant) => redis.zcard(tenantQueueKey(keys, tenant))));
  return {
    unfinished,
    waiting,
    runnable: Math.max(0, waiting - held.reduce((sum, count) => sum + count, 0)),
    active,
    oldest_at: oldest === undefined ? null : new Date(Number(oldest)).toISOString(),
    waits_for: (waiting > 0 && status?.reason) || null,
  };
}

async function ofTenant(redis: RedisClient, queue: ModelQueue, tenant: string, at: number): Promise<Counts> {
  const { keys } = queue;
  const own = tenantQueueKey(keys, tenant);
  const [unfinished, waiting, [first], pausedUntil] = await Promise.all([
    redis.scard(keys.tenantLive(tenant)),
    redis.zcard(own),
    redis.zrangebyscore(own, '-inf', '+inf', 'LIMIT', 0, 1),
    redis.zscore(keys.fairQueue('paused'), tenant),
  ]);
  const next = first === undefined ? undefined : (await queue.read(first))?.view;
  return {
    unfinished,
    waiting,
    runnable: Number(pausedUntil ?? 0) > at ? 0 : waiting,
    active: null,
    oldest_at: next?.created_at ?? null,
    waits_for: next?.status === 'waiting' ? next.waiting_for : null,
  };
}

/** tenantQueueKey names the sorted set of one tenant's waiting jobs. */
function tenantQueueKey(keys: ModelKeys, tenant: string): string {
  return `${keys.fairQueue('tenant')}:${tenant}`;
}
