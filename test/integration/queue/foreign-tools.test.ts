import { Queue, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, reached } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** These tests hold the table "What other tools of BullMQ see" in docs/DATA-FORMAT.md. */

let instance: Instance;
let redis: Redis;
let foreign: Queue;

beforeEach(async () => {
  instance = await startInstance({ workers: 0 });
  redis = new Redis(instance.redis.url);
  foreign = new Queue('{o3}', { prefix: 'o3q', connection: redis });
});
afterEach(async () => {
  await foreign.close();
  redis.disconnect();
  await instance.stop();
});

it('a foreign board sees waiting jobs as delayed until 2039, and cancelled jobs as failed', async () => {
  const { id } = await enqueue(instance.url, { question: 'Waiting?' });
  const cancelled = await enqueue(instance.url, { question: 'Cancelled?' });
  await call(instance.url, 'POST', `/jobs/${cancelled.id}/cancel`);
  expect(await foreign.getJobCounts()).toMatchObject({ waiting: 0, delayed: 1, failed: 1 });
  const [job] = await foreign.getDelayed();
  expect(job?.id).toBe(id);
  expect(new Date((job?.timestamp ?? 0) + (job?.delay ?? 0)).getUTCFullYear()).toBe(2039);
  expect(await foreign.getFailed()).toMatchObject([
    { id: cancelled.id, failedReason: 'cancelled: on request' },
  ]);
});

it('an autoscaler on the length of wait sees no waiting job of ours, and GET /models counts them', async () => {
  for (let i = 0; i < 3; i += 1) await enqueue(instance.url, { question: `${i}?` });
  const length = () => redis.llen('o3q:{o3}:wait');
  expect(await length()).toBe(0);
  expect(await call(instance.url, 'GET', '/models')).toMatchObject({
    body: { models: [{ model: 'o3', state: { waiting: 3 } }] },
  });
  // A job of a BullMQ client stands in wait until a worker puts it into the fair queue.
  await foreign.add('Mine?', { question: 'Mine?' });
  expect(await length()).toBe(1);
});

it('GET /scaling tells an autoscaler what would run if there were workers, down to zero of them', async () => {
  const scaling = async () => (await call(instance.url, 'GET', '/scaling')).body;
  const nothing = { runnable: 0, waiting: 0, in_flight: 0, slots: 0 };
  expect(await scaling()).toEqual({
    ...nothing,
    models: { o3: { runnable: 0, waiting: 0, limited_by: null } },
  });
  for (let i = 0; i < 3; i += 1) await enqueue(instance.url, { question: `${i}?` });
  await foreign.add('Mine?', { question: 'Mine?' });
  expect(await scaling()).toEqual({
    ...{ ...nothing, runnable: 4, waiting: 4 },
    models: { o3: { runnable: 4, waiting: 4, limited_by: null } },
  });
  await foreign.pause();
  expect(await scaling()).toEqual({
    ...{ ...nothing, waiting: 4 },
    models: { o3: { runnable: 0, waiting: 4, limited_by: 'board_pause' } },
  });
});

it('QueueEvents hears of a job when it is added, when its turn has come, and of its end', async () => {
  const connection = redis.duplicate({ maxRetriesPerRequest: null });
  const events = new QueueEvents('{o3}', { connection, prefix: 'o3q', lastEventId: '0-0' });
  const heard = new Map<string, string[]>();
  for (const name of ['added', 'delayed', 'waiting', 'active', 'completed', 'failed'] as const) {
    events.on(name, ({ jobId }: { jobId: string }) => {
      heard.set(jobId, [...(heard.get(jobId) ?? []), name]);
    });
  }
  const cancelled = await enqueue(instance.url, { question: 'Cancelled?' });
  await call(instance.url, 'POST', `/jobs/${cancelled.id}/cancel`);
  const ours = await enqueue(instance.url, { question: 'Ours?' });
  instance.addWorker();
  await reached(instance.url, ours.id, 'completed');
  await eventually(() => {
    expect(heard.get(cancelled.id)).toEqual(['added', 'delayed', 'failed']);
    expect(heard.get(ours.id)).toEqual(['added', 'delayed', 'waiting', 'active', 'completed']);
  });
  await events.close();
  connection.disconnect();
});
