import type { Job } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobData } from '../../../src/job/request.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { type Answer, call } from '../http/http-calls.ts';
import { type BareWorker, createBareWorker } from '../worker/bare-worker.ts';
import { type Instance, startInstance } from './instance.ts';

/** IdleWorld is an instance without a worker, and what stands behind its routes. */
export interface IdleWorld {
  instance: Instance;
  redis: Redis;
  queue: InstanceQueue;
  o3: ModelQueue;
  /** Cancels a job over HTTP. */
  cancel(id: string): Promise<Answer>;
  /** Takes the next job, which is expected to be this one, with a worker that does what the test says. */
  take(id: string): Promise<{ job: Job<JobData>; token: string; worker: BareWorker }>;
}

/** useIdleWorld gives each test of a file a new world, whose fields are set while the test runs. */
export function useIdleWorld(): IdleWorld {
  const workers: BareWorker[] = [];
  const world = {
    cancel: (id) => call(world.instance.url, 'POST', `/jobs/${id}/cancel`),
    async take(id) {
      const worker = createBareWorker(world.instance.redis.url);
      workers.push(worker);
      const token = 'bare-worker:1';
      const job = await worker.take(token);
      expect(job.id).toBe(id);
      return { job, token, worker };
    },
  } as IdleWorld;
  beforeEach(async () => {
    world.instance = await startInstance({ workers: 0 });
    world.redis = new Redis(world.instance.redis.url);
    world.queue = new InstanceQueue({ redisUrl: world.instance.redis.url, ...world.instance.models });
    const [o3] = world.queue.queues;
    if (o3 === undefined) throw new Error('expected a queue');
    world.o3 = o3;
  });
  afterEach(async () => {
    for (const worker of workers.splice(0)) await worker.close();
    await world.queue.close();
    world.redis.disconnect();
    await world.instance.stop();
  });
  return world;
}
