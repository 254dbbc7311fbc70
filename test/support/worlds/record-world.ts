import type { Job } from 'bullmq';
import { Redis } from 'ioredis';
import { type JobData, parseJobRequest } from '../../../src/job/request.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import type { RunEnd } from '../../../src/run/record.ts';
import { createRunRecordWriter } from '../../../src/run/redis-writer.ts';
import type { RunRecordWriter } from '../../../src/run/writer.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';
import { type BareWorker, createBareWorker } from '../worker/bare-worker.ts';

export const COMPLETED: RunEnd = {
  status: 'completed',
  summary: {
    usage: null,
    ...{ cost_usd: null, list_usd: null, saved_usd: null, cost_estimated: false },
    simulated: false,
    service_tier: null,
    answer_preview: 'Because.',
    upstream_model: 'o3',
    fallback_from: null,
    fallback_extra_usd: null,
    incomplete_reason: null,
    refusal: null,
  },
  spent: { responseId: 'resp_1', usage: null, cost: null },
  response: {
    id: 'resp_1',
    output: [{ type: 'message', content: [{ type: 'output_text', text: 'Because.' }] }],
  },
};
export const FAILED: RunEnd = {
  status: 'failed',
  error: { code: 'upstream_error', message: 'a bad day', retryable: true },
  spent: null,
};

/** HeldJob is a job in the hands of a worker, and the writer of its record. */
interface HeldJob {
  id: string;
  job: Job<JobData>;
  writer: RunRecordWriter;
}

/**
 * RecordWorld is a queue on an empty Redis, and a worker that does what the test says: for what stands beside
 * BullMQ's jobs.
 */
export interface RecordWorld {
  redis: Redis;
  queue: InstanceQueue;
  o3: ModelQueue;
  worker: BareWorker;
  writerOf(job: Job, lockToken: string): RunRecordWriter;
  /** Enqueues a job and takes it, under this lock token (default `a`). */
  taken(lockToken?: string): Promise<HeldJob>;
  /** Does the same, and begins the run. */
  begun(lockToken?: string): Promise<HeldJob>;
  close(): Promise<void>;
}

/** useRecordWorld gives each test of a file a new world, whose fields are set while the test runs. */
export function useRecordWorld(): RecordWorld {
  const world = {} as RecordWorld;
  let server: TestRedis;
  beforeAll(async () => {
    server = await startTestRedis();
  });
  beforeEach(async () => {
    Object.assign(world, await openRecordWorld(server));
  });
  afterEach(() => world.close());
  afterAll(() => server.stop());
  return world;
}

async function openRecordWorld(server: TestRedis): Promise<RecordWorld> {
  const redis = new Redis(server.url);
  await redis.flushall();
  const queue = new InstanceQueue({ redisUrl: server.url });
  const [o3] = queue.queues;
  if (o3 === undefined) throw new Error('expected a queue');
  const worker = createBareWorker(server.url);
  const writerOf = (job: Job, lockToken: string): RunRecordWriter =>
    createRunRecordWriter({
      redis,
      keys: o3.keys,
      id: job.id ?? '',
      lockToken,
      lockMs: 60_000,
      compression: o3.compression,
      jobCreatedAt: job.timestamp,
      tenant: undefined,
      usageKey: (day) => usageKey('o3q', o3.model, day),
      keepSeconds: { completed: 60, failed: 60 },
    });
  const taken = async (lockToken = 'a'): Promise<HeldJob> => {
    const { id } = (await queue.enqueue(parseJobRequest({ question: 'Why?' }))).job;
    const job = await worker.take(lockToken);
    expect(job.id).toBe(id);
    return { id, job, writer: writerOf(job, lockToken) };
  };
  return {
    ...{ redis, queue, o3, worker, writerOf, taken },
    async begun(lockToken) {
      const held = await taken(lockToken);
      await held.writer.begin(0);
      return held;
    },
    async close() {
      await worker.close();
      await queue.close();
      redis.disconnect();
    },
  };
}
