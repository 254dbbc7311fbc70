import { Worker } from 'bullmq';
import type { QueuedJob } from '../../../src/fair-queue/fair-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { storeParkedJobs } from '../../support/redis/parked-jobs.ts';
import { keys, useFairQueueWorld } from '../../support/worlds/fair-queue-world.ts';
import { startWorkerWorld } from '../../support/worlds/worker-world.ts';

const world = useFairQueueWorld();

const HOUR_MS = 3_600_000;
const BASE = Date.now() - HOUR_MS;

type DelayedJob = QueuedJob & { dueAt: number | undefined };

const queued = (id: string, dueAt: number, more: Partial<DelayedJob> = {}): DelayedJob => ({
  ...{ id, tenant: 'alice', createdAt: BASE, priority: 0, deadlineAt: undefined, dueAt },
  ...more,
});

const add = (...jobs: DelayedJob[]): Promise<void> => storeParkedJobs(world.redis, keys, jobs);

const next = (): Promise<string[]> => world.next(10);
const due = (): Promise<string[]> => world.redis.zrange(keys.fairQueue('due'), '0', '-1');

/** A job in the hands of a worker. */
async function take(id: string): Promise<string> {
  await world.fairQueue.start([{ id, tenant: 'alice', reservedModel: 'o3' }]);
  const worker = new Worker(keys.queueName, null, { connection: world.redis, prefix: 'o3q' });
  const job = await worker.getNextJob('token', { block: false });
  expect(job?.id).toBe(id);
  await worker.close();
  return 'token';
}

describe('a delayed job', () => {
  it('enters the fair queue when it is due, and not before', async () => {
    await add(queued('later', Date.now() + HOUR_MS));
    await add(queued('now', Date.now() - 1));
    const { jobs, nextInMs = 0 } = await world.fairQueue.next(10);
    expect(jobs.map(({ id }) => id)).toEqual(['now']);
    expect(nextInMs).toBeGreaterThan(HOUR_MS - 60_000);
    expect(nextInMs).toBeLessThanOrEqual(HOUR_MS);
    expect(await due()).toEqual(['later']);
    expect((await world.bullmq.getJob('now'))?.attemptsStarted).toBe(0);
  });

  it('enters the fair queue when it is due, although the clock of the worker was set back', async () => {
    await add(queued('job_1', Date.now() + 300));
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 600_000);
    try {
      await eventually(async () => expect(await next()).toEqual(['job_1']));
    } finally {
      clock.mockRestore();
    }
  });

  it('has the place that its age and its priority give it', async () => {
    await add(queued('young', Date.now() - 1, { createdAt: BASE + 1000 }));
    await add(queued('old', Date.now() - 1));
    await add(queued('unimportant', Date.now() - 1, { createdAt: BASE - 1000, priority: 1 }));
    expect(await next()).toEqual(['old', 'young', 'unimportant']);
  });

  it('leaves no entry when a BullMQ client has removed it', async () => {
    await add(queued('removed', Date.now() - 1));
    await world.bullmq.remove('removed');
    expect(await due()).toEqual(['removed']);
    expect(await next()).toEqual([]);
    expect(await due()).toEqual([]);
  });

  it('does not become due again when it was promoted on Bull Board', async () => {
    await add(queued('promoted', Date.now() + HOUR_MS));
    await (await world.bullmq.getJob('promoted'))?.promote();
    const worker = new Worker(keys.queueName, null, { connection: world.redis, prefix: 'o3q' });
    expect((await worker.getNextJob('token', { block: false }))?.id).toBe('promoted');
    await worker.close();
    const job = queued('promoted', 0);
    expect(await world.fairQueue.giveBack(job, 'token', { kind: 'fair-queue' })).toBe('ok');
    expect(await due()).toEqual([]);
    expect(await next()).toEqual(['promoted']);
  });

  it('keeps its entry when it is enqueued again under the same id', async () => {
    await add(queued('twice', Date.now() + HOUR_MS));
    await add(queued('twice', Date.now() - 1));
    await add(queued('twice', 0, { dueAt: undefined }));
    expect(await next()).toEqual([]);
  });

  it('goes to a worker when its deadline has passed', async () => {
    await add(queued('late', Date.now() + HOUR_MS, { deadlineAt: Date.now() - 1 }));
    expect(await next()).toEqual([]);
    expect(await world.bullmq.getJobState('late')).toBe('waiting');
    expect(await due()).toEqual([]);
  });

  it('enters the fair queue once, also when hundreds are due together', async () => {
    const jobs = Array.from({ length: 700 }, (_, i) => queued(`job${i}`, Date.now() - 1));
    await add(...jobs);
    await Promise.all([next(), next(), next()]);
    expect(await world.redis.zcard(`${keys.fairQueue('tenant')}:alice`)).toBe(700);
    expect(await due()).toEqual([]);
  });
});

describe('a job that waits for its next attempt', () => {
  const retry = { kind: 'delayed', dueAt: Date.now() - 1, failedReason: 'a reset' } as const;

  it('is charged an attempt and enters the fair queue when it is due', async () => {
    await add(queued('again', Date.now() - 1));
    await next();
    const token = await take('again');
    await world.redis.hdel(keys.run('again'), 'reserved_model');
    expect(await world.fairQueue.giveBack(queued('again', 0), token, retry)).toBe('ok');
    expect(await next()).toEqual(['again']);
    expect(await world.bullmq.getJob('again')).toMatchObject({ attemptsMade: 1, failedReason: 'a reset' });
  });

  it.each([
    ['its response still runs', { upstream_id: 'resp_1', background: '1' }],
    ['its run has ended', { status: 'cancelled' }],
    ['it keeps its reservation', { reserved_model: 'o3' }],
  ])('goes to a worker without a place in the fair queue when %s', async (_why, run) => {
    await add(queued('again', Date.now() - 1));
    await next();
    const token = await take('again');
    await world.redis.del(keys.run('again'));
    expect(await world.fairQueue.giveBack(queued('again', 0), token, retry)).toBe('ok');
    await world.redis.hset(keys.run('again'), run);
    expect(await next()).toEqual([]);
    expect(await world.bullmq.getJobState('again')).toBe('waiting');
    expect(await due()).toEqual([]);
  });
});

it('a worker takes a delayed job, and a job between two attempts, only when they run', async () => {
  const world = await startWorkerWorld();
  try {
    const delayed = await world.ask('Later?', {}, { delay_ms: 300 });
    const retried = await world.ask('Again?', { sim: '500', sim_times: '1' });
    expect(await world.finished(delayed.id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(await world.finished(retried.id)).toMatchObject({ status: 'completed', attempt: 2 });
    const startsOf = async ({ id }: { id: string }) => world.client.hget(world.keys.job(id), 'ats');
    expect([await startsOf(delayed), await startsOf(retried)]).toEqual(['1', '2']);
  } finally {
    await world.stop();
  }
});
