import type { Job } from 'bullmq';
import { Redis } from 'ioredis';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { createRunRecordWriter, type RunRecordWriter } from '../../../src/run/writer.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import type { TestRedis } from '../redis/redis-server.ts';
import { type BareWorker, createBareWorker } from '../worker/bare-worker.ts';

/**
 * A queue on an empty Redis, and a worker that does what the test says: for what stands beside BullMQ's jobs.
 */
export interface RecordWorld {
  redis: Redis;
  queue: InstanceQueue;
  o3: ModelQueue;
  worker: BareWorker;
  writerOf(job: Job, lockToken: string): RunRecordWriter;
  close(): Promise<void>;
}

export async function openRecordWorld(server: TestRedis): Promise<RecordWorld> {
  const redis = new Redis(server.url);
  await redis.flushall();
  const queue = new InstanceQueue({ redisUrl: server.url });
  const [o3] = queue.queues;
  if (o3 === undefined) throw new Error('expected a queue');
  const worker = createBareWorker(server.url);
  return {
    redis,
    queue,
    o3,
    worker,
    writerOf: (job, lockToken) =>
      createRunRecordWriter({
        redis,
        keys: o3.keys,
        id: job.id ?? '',
        lockToken,
        lockMs: 60_000,
        jobCreatedAt: job.timestamp,
        tenant: undefined,
        usageKey: (day) => usageKey('o3q', o3.model, day),
        keepSeconds: { completed: 60, failed: 60 },
      }),
    async close() {
      await worker.close();
      await queue.close();
      redis.disconnect();
    },
  };
}
