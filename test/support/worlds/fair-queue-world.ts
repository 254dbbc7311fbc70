import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createFairQueue, type FairQueue } from '../../../src/fair-queue/fair-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
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
}

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
      world.fairQueue = createFairQueue(world.redis, keys, Object.fromEntries(tenants));
    },
    next: async (most) => (await world.fairQueue.next(most)).jobs.map(({ id }) => id),
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
