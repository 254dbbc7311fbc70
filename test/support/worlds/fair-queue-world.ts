import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createFairQueue, type FairQueue, type QueuedJob } from '../../../src/fair-queue/fair-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { storeParkedJobs } from '../redis/parked-jobs.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';

export const keys = keysOf('o3q', 'o3');

/** FairQueueWorld is the fair queue of o3 and BullMQ's queue on an empty Redis, without a worker. */
export interface FairQueueWorld {
  redis: Redis;
  bullmq: Queue;
  fairQueue: FairQueue;
  /** Gives tenants other weights than 1 for the rest of the test. */
  weigh(weights: Record<string, number>): void;
  /** Returns the ids of the jobs that would start next. */
  next(most: number): Promise<string[]>;
  /** Adds jobs of one tenant, named by it and numbered, one per millisecond. */
  add(
    tenant: string,
    count: number,
    options?: { priority?: number; from?: number; at?: number },
  ): Promise<void>;
  /** Starts the next jobs one after the other, at this cost each, and returns their ids. */
  start(count: number, options?: { cost?: number }): Promise<string[]>;
}

/** The time at which jobs were created, in Unix milliseconds: long enough ago that no order is negative. */
export const BASE = Date.now() - 3_600_000;

/** useFairQueueWorld gives each test of a file an empty queue, whose fields are set while the test runs. */
export function useFairQueueWorld(): FairQueueWorld {
  let server: TestRedis;
  const world = {
    weigh(weights) {
      const others = {
        maxInFlight: undefined,
        dailyBudgetUsd: undefined,
        onBudgetExhausted: 'wait',
      } as const;
      const tenants = Object.entries(weights).map(([name, weight]) => [name, { weight, ...others }]);
      world.fairQueue = createFairQueue(world.redis, keys, { tenants: Object.fromEntries(tenants) });
    },
    next: async (most) => (await world.fairQueue.next(most)).jobs.map(({ id }) => id),
    async add(tenant, count, { priority = 0, from = 0, at = BASE } = {}) {
      const jobs: QueuedJob[] = Array.from({ length: count }, (_, i) => ({
        id: `${tenant}${from + i}`,
        tenant,
        createdAt: at + i,
        priority,
        deadlineAt: undefined,
      }));
      await storeParkedJobs(world.redis, keys, jobs);
    },
    async start(count, { cost } = {}) {
      const started: string[] = [];
      for (let i = 0; i < count; i += 1) {
        const [job] = (await world.fairQueue.next(1)).jobs;
        if (job === undefined) break;
        expect(await world.fairQueue.start([{ ...job, reservedModel: 'o3', cost }])).toEqual([true]);
        started.push(job.id);
      }
      return started;
    },
  } as FairQueueWorld;
  beforeAll(async () => {
    server = await startTestRedis();
    world.redis = new Redis(server.url, { maxRetriesPerRequest: null });
    world.bullmq = new Queue(keys.queueName, { connection: world.redis, prefix: 'o3q' });
  });
  afterAll(async () => {
    await world.bullmq.close();
    world.redis.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    await world.redis.flushall();
    world.weigh({});
  });
  return world;
}
