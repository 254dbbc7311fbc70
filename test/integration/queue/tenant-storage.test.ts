import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { defaultModels, type Models } from '../../../src/config/file.ts';
import { type JobRequest, parseJobRequest } from '../../../src/job/request.ts';
import { JOB_BYTES, PAIR_BYTES } from '../../../src/lua/storage/tenant-use.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { dropRemoved, sweepRetention } from '../../../worker/maintenance/retention.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const YEAR_MS = 365 * 24 * 3_600_000;

let server: TestRedis;
let redis: Redis;
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});
beforeEach(() => redis.flushall());
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

type Limits = Partial<Models['tenants'][string]>;
const tenantsWith = (alice: Limits): Models['tenants'] => ({
  alice: { weight: 1, onBudgetExhausted: 'wait', ...alice },
});

/** Opens a queue of the models o3 and sol, as a producer of its own. */
function openQueue(alice: Limits): InstanceQueue {
  const { models, ...others } = defaultModels();
  const { o3 } = models;
  if (o3 === undefined) throw new Error('expected the model o3');
  const queue = new InstanceQueue({
    ...{ redisUrl: server.url, ...others, models: { o3, sol: o3 } },
    tenants: tenantsWith(alice),
  });
  opened.push(queue);
  return queue;
}
const asAlice = (queue: InstanceQueue): TenantQueue => queue.as({ tenant: 'alice', admin: false });
const later = (question: string, more: Partial<JobRequest> = {}) =>
  parseJobRequest({ question, delay_ms: YEAR_MS, ...more });

const MODELS = ['o3', 'sol'].map((model) => keysOf('o3q', model));

/** What Redis counts for alice. The sum must always be that of the jobs. */
async function counted(): Promise<{ waiting: number; bytes: number; jobs: number }> {
  const uses = await Promise.all(
    MODELS.map(async (keys) => {
      const { '': sum = '0', ...jobs } = await redis.hgetall(keys.tenantStored('alice'));
      const bytes = Object.values(jobs).reduce((total, one) => total + Number(one), 0);
      expect(Number(sum)).toBe(bytes);
      return [await redis.scard(keys.tenantLive('alice')), bytes, Object.keys(jobs).length] as const;
    }),
  );
  const sumOf = (at: 0 | 1 | 2): number => uses.reduce((sum, use) => sum + use[at], 0);
  return { waiting: sumOf(0), bytes: sumOf(1), jobs: sumOf(2) };
}
/** A text that no compression makes much shorter. */
const randomText = (length: number): string => randomBytes(length).toString('base64').slice(0, length);
const NOTHING = { waiting: 0, bytes: 0, jobs: 0 };

describe('maxWaiting', () => {
  it('is not passed by 200 calls at once, through two producers and for two models', async () => {
    const queues = [openQueue({ maxWaiting: 50 }), openQueue({ maxWaiting: 50 })].map(asAlice);
    const asks = Array.from({ length: 200 }, (_, i) =>
      queues[i % 2]?.enqueue(later(`${i}?`, { model: i % 4 < 2 ? 'o3' : 'sol' })),
    );
    const outcomes = await Promise.allSettled(asks);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: {
        code: 'too_many_waiting',
        message:
          'alice has 50 jobs that have not ended, and may have 50, delayed ones included. Wait until some have ' +
          'ended, cancel some, or raise maxWaiting in o3q.config.json',
        retryAfterMs: 10_000,
      },
    });
    expect(await counted()).toMatchObject({ waiting: 50, jobs: 50 });
  });

  it('accepts as many jobs of a bulk as fit, and answers repeats of accepted ones', async () => {
    const queue = asAlice(openQueue({ maxWaiting: 3 }));
    const jobs = Array.from({ length: 5 }, (_, i) => ({ question: `${i}?`, idempotency_key: `key ${i}` }));
    const first = await queue.enqueueBulk(jobs);
    expect(first.map((outcome) => outcome.ok)).toEqual([true, true, true, false, false]);
    const again = await queue.enqueueBulk(jobs);
    expect(again.map((outcome) => outcome.ok && outcome.isNew)).toEqual([false, false, false, false, false]);
    expect(again.map((outcome) => outcome.ok)).toEqual([true, true, true, false, false]);
  });

  it('does not concern other tenants, nor jobs without a tenant', async () => {
    const queue = openQueue({ maxWaiting: 1 });
    await asAlice(queue).enqueue(later('One?'));
    await expect(asAlice(queue).enqueue(later('Two?'))).rejects.toMatchObject({ code: 'too_many_waiting' });
    await queue.enqueue(later('Two?'));
    await queue.as({ tenant: 'bob', admin: false }).enqueue(later('Two?'));
    expect(await redis.exists(keysOf('o3q', 'o3').tenantLive(''))).toBe(0);
  });

  it('opens again after a cancel, and a retry by hand needs room', async () => {
    const queue = asAlice(openQueue({ maxWaiting: 1 }));
    const { job } = await queue.enqueue(later('One?'));
    await queue.cancel(job.id);
    expect(await counted()).toMatchObject({ waiting: 0, jobs: 1 });
    const { job: second } = await queue.enqueue(later('Two?'));
    await expect(queue.retry(job.id)).rejects.toMatchObject({ code: 'too_many_waiting' });
    await queue.cancel(second.id);
    await queue.retry(job.id);
    expect(await counted()).toMatchObject({ waiting: 1, jobs: 2 });
  });
});

describe('maxStoredMb', () => {
  const large = (question: string) => later(question, { context: randomText(200_000) });

  it('opens again after a deletion, and not after a cancel', async () => {
    const queue = asAlice(openQueue({ maxStoredMb: 1 }));
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) ids.push((await queue.enqueue(large(`${i}?`))).job.id);
    const [first = ''] = ids;
    await queue.cancel(first);
    await expect(queue.enqueue(large('Six?'))).rejects.toMatchObject({
      code: 'too_much_stored',
      message:
        'The jobs of alice keep 1 MB, and may keep 1 MB: this job does not fit. Delete finished jobs, send a ' +
        'smaller request, or set a higher maxStoredMb in o3q.config.json',
      retryAfterMs: 60_000,
    });
    await queue.delete(first);
    await queue.enqueue(large('Six?'));
  });

  it('counts what is stored of a text that is compressed', async () => {
    const queue = asAlice(openQueue({ maxStoredMb: 1 }));
    const context = readFileSync('docs/ARCHITECTURE.md', 'utf8');
    const { job } = await queue.enqueue(later('Compressed?', { context }));
    const data = await redis.hstrlen(keysOf('o3q', 'o3').job(job.id), 'data');
    expect(data).toBeLessThan(context.length * 0.67);
    expect(await counted()).toEqual({ waiting: 1, bytes: JOB_BYTES + data, jobs: 1 });
  });

  it('bounds the number of jobs too, because each counts two kilobytes more than its request', async () => {
    const queue = asAlice(openQueue({ maxStoredMb: 1 }));
    const outcomes = await queue.enqueueBulk(Array.from({ length: 1000 }, () => ({ question: '?' })));
    const accepted = outcomes.filter(({ ok }) => ok).length;
    expect(accepted).toBe(Math.floor(1024 ** 2 / (JOB_BYTES + '{"question":"?","stream":false}'.length)));
  });

  it('counts what metadata takes: its text twice, and an entry for each pair in an index of its own', async () => {
    const queue = asAlice(openQueue({ maxStoredMb: 1 }));
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`key-${i}`, randomText(500)]));
    const { job } = await queue.enqueue(later('Metadata?', { metadata }));
    const [data, options] = await Promise.all(
      ['data', 'opts'].map((field) => redis.hstrlen(keysOf('o3q', 'o3').job(job.id), field)),
    );
    const bytes = JOB_BYTES + Number(data) + Number(options) - 512 + 16 * PAIR_BYTES;
    expect(await counted()).toEqual({ waiting: 1, bytes, jobs: 1 });
    expect(bytes).toBeGreaterThan(2 * 16 * 500);
  });

  it('is half of the memory of Redis by default, for all tenants but admin', async () => {
    await redis.config('SET', 'maxmemory', String(64 * 1024 ** 2));
    try {
      const queue = openQueue({});
      const [bob, admin] = ['bob', 'admin'].map((tenant) => queue.as({ tenant, admin: tenant === 'admin' }));
      const bytes = 32 * 1024 ** 2 - 100_000;
      await redis.hset(keysOf('o3q', 'o3').tenantStored('bob'), { '': bytes, job_other: bytes });
      await redis.hset(keysOf('o3q', 'o3').tenantStored('admin'), { '': bytes, job_other: bytes });
      await bob?.enqueue(later('Small?'));
      await expect(bob?.enqueue(large('Large?'))).rejects.toMatchObject({
        code: 'too_much_stored',
        message: expect.stringContaining('The jobs of bob keep 31.9 MB, and may keep 32 MB'),
      });
      await admin?.enqueue(large('Large?'));
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
  });

  it('stops counting jobs that a BullMQ client has removed', async () => {
    const queue = openQueue({ maxStoredMb: 1 });
    const { job } = await asAlice(queue).enqueue(large('Removed?'));
    await asAlice(queue).enqueue(large('Kept?'));
    const o3 = queue.queues.find(({ model }) => model === 'o3');
    if (o3 === undefined) throw new Error('expected a queue');
    await o3.bullmq.remove(job.id);
    expect(await counted()).toMatchObject({ waiting: 2, jobs: 2 });
    await dropRemoved(redis, o3, tenantsWith({ maxStoredMb: 1 }));
    expect(await counted()).toMatchObject({ waiting: 1, jobs: 1 });
  });
});

describe('with a worker', () => {
  let instance: Instance;
  let queue: InstanceQueue;
  beforeEach(async () => {
    instance = await startInstance({
      redis: server,
      models: { tenants: tenantsWith({ dailyBudgetUsd: 1, maxWaiting: 100, maxStoredMb: 2 }) },
    });
    queue = openQueue({ dailyBudgetUsd: 1, maxWaiting: 100, maxStoredMb: 2 });
  });
  afterEach(() => instance.stop());

  it('counts what each job keeps, through its end, a cancel, a retry, a deletion and its retention', async () => {
    const alice = asAlice(queue);
    const [o3] = queue.queues;
    if (o3 === undefined) throw new Error('expected a queue');
    const pairBytes = (id: string): number => (id === failed ? PAIR_BYTES : 0);
    const bytesOf = async (id: string): Promise<number> =>
      JOB_BYTES +
      pairBytes(id) +
      (await redis.hstrlen(o3.keys.job(id), 'data')) +
      (await redis.strlen(o3.keys.response(id))) +
      Number((await redis.hget(o3.keys.run(id), 'event_log_bytes')) ?? 0);
    const expectCounted = async (waiting: number, ...ids: string[]): Promise<void> => {
      const bytes = (await Promise.all(ids.map(bytesOf))).reduce((sum, one) => sum + one, 0);
      expect(await counted()).toEqual({ waiting, bytes, jobs: ids.length });
    };
    const ask = async (question: string, metadata = {}) =>
      (await alice.enqueue(parseJobRequest({ question, metadata }))).job.id;
    const ended = (id: string) => alice.wait(id, { timeoutMs: 30_000 });
    const inBullmq = (id: string, state: string) =>
      eventually(async () => expect(await o3.bullmq.getJobState(id)).toBe(state));

    const completed = await ask('Completed?');
    const failed = await ask('Failed?', { sim: '400' });
    const cancelled = (await alice.enqueue(later('Cancelled?'))).job.id;
    await alice.cancel(cancelled);
    expect(await ended(completed)).toMatchObject({ status: 'completed' });
    expect(await ended(failed)).toMatchObject({ status: 'failed' });
    await expectCounted(0, completed, failed, cancelled);
    expect(await bytesOf(completed)).toBeGreaterThan(JOB_BYTES + 500);

    // Both retries buy again: one through us, one on Bull Board.
    await inBullmq(failed, 'failed');
    await alice.retry(failed);
    await ended(failed);
    await expectCounted(0, completed, failed, cancelled);
    await inBullmq(failed, 'failed');
    await (await o3.bullmq.getJob(failed))?.retry();
    await eventually(async () => expect(await alice.get(failed)).toMatchObject({ purchases: 0 }));
    await inBullmq(failed, 'failed');
    await expectCounted(0, completed, failed, cancelled);

    await inBullmq(completed, 'completed');
    await alice.delete(completed);
    await expectCounted(0, failed, cancelled);
    const waiting = (await alice.enqueue(later('Waiting?'))).job.id;
    await expectCounted(1, failed, cancelled, waiting);
    await eventually(() =>
      sweepRetention(redis, o3, { completedHours: 1 / 3_600_000, failedHours: 1 / 3_600_000 }),
    );
    await eventually(() => expectCounted(1, waiting));
    await alice.cancel(waiting);
    await alice.delete(waiting);
    expect(await counted()).toEqual(NOTHING);
  });

  it('a tenant with a budget of a dollar cannot fill Redis with jobs delayed by a year, and others go on', async () => {
    const alice = asAlice(queue);
    const request = later('Filled?', { context: randomText(100_000) });
    const codes: unknown[] = [];
    for (let calls = 0; calls < 60; calls += 5) {
      const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => alice.enqueue(request)));
      codes.push(...outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.code));
    }
    expect(codes.filter((code) => code === 'too_much_stored')).toHaveLength(40);
    expect(codes.filter((code) => code === false)).toHaveLength(20);
    expect((await counted()).bytes).toBeLessThanOrEqual(2 * 1024 ** 2);
    const bob = queue.as({ tenant: 'bob', admin: false });
    const { job } = await bob.enqueue(parseJobRequest({ question: 'Does mine run?' }));
    expect(await bob.wait(job.id, { timeoutMs: 30_000 })).toMatchObject({ status: 'completed' });
  });
});
