import { type FlowJob, FlowProducer, type Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobPage } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/** The children of most flows here are delayed for an hour, so that they wait until a test promotes them. */
const HOUR_MS = 3_600_000;

let instance: Instance;
let redis: Redis;
let flows: FlowProducer;
let bare: Queue;

beforeAll(async () => {
  const { models } = quickModels();
  const o3 = models['o3'];
  if (o3 === undefined) throw new Error('expected the model o3');
  instance = await startInstance({ models: { models: { o3, other: o3 } } });
  redis = new Redis(instance.redis.url);
  flows = new FlowProducer({ connection: redis, prefix: 'o3q' });
  bare = new Queue('{o3}', { connection: redis, prefix: 'o3q' });
});
afterAll(async () => {
  await bare.close();
  await flows.close();
  redis.disconnect();
  await instance.stop();
});

interface Flow {
  id: string;
  parent: Job;
  children: Job[];
}

function child(question: string, opts: FlowJob['opts'] = {}, model = 'o3'): FlowJob {
  return { name: question, queueName: `{${model}}`, data: { question }, opts: { delay: HOUR_MS, ...opts } };
}

async function addFlow(children: FlowJob[], opts: FlowJob['opts'] = {}): Promise<Flow> {
  const [name, queueName] = ['Parent?', '{o3}'];
  const flow = await flows.add({ name, queueName, data: { question: name }, opts, children });
  return { id: String(flow.job.id), parent: flow.job, children: (flow.children ?? []).map(({ job }) => job) };
}

async function listed(query: string): Promise<string[]> {
  return ((await call(instance.url, 'GET', `/jobs?${query}`)).body as JobPage).jobs.map(({ id }) => id);
}

/** Checks what the parent waits for, as soon as BullMQ knows of the end of its latest child. */
function waitsFor(id: string, what: string): Promise<void> {
  const nothing = { position: null, eta_ms: null, eta_basis: null };
  return eventually(async () => {
    expect(await viewOf(instance.url, id)).toMatchObject({
      status: 'waiting',
      waiting_for: what,
      ...nothing,
    });
  });
}

async function complete(...children: Job[]): Promise<void> {
  for (const job of children) await job.promote();
  for (const job of children) await reached(instance.url, String(job.id), 'completed');
}

it("a flow's parent is listed and waits for its children of two models, then runs like any other job", async () => {
  const { id, children } = await addFlow([child('First?'), child('Second?', {}, 'other')]);
  const [first, second] = children as [Job, Job];
  await waitsFor(id, '2 child jobs');
  expect(await listed('status=waiting&model=o3')).toContain(id);
  expect(await listed('status=delayed')).toEqual(expect.arrayContaining([first.id, second.id]));
  const board = await call(instance.url, 'GET', '/board/api/queues?activeQueue=o3&status=waiting');
  expect(board.body).toMatchObject({
    queues: expect.arrayContaining([
      expect.objectContaining({
        name: 'o3',
        counts: expect.objectContaining({ waiting: 1, 'waiting-children': 0 }),
        jobs: [expect.objectContaining({ id })],
      }),
    ]),
  });
  await complete(first);
  await waitsFor(id, '1 child job');
  await complete(second);
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ attempt: 1, purchases: 1 });
  expect(await listed('status=waiting&model=o3')).not.toContain(id);
});

it('a child that fails with failParentOnFailure fails its parent, with its reason; a retry waits again', async () => {
  const malformed = { ...child('', { delay: 0, failParentOnFailure: true }), data: {} };
  const { id, children } = await addFlow([malformed, child('Sibling?')]);
  const [failed, sibling] = children as [Job, Job];
  await eventually(async () => {
    expect(await viewOf(instance.url, id)).toMatchObject({
      status: 'failed',
      purchases: 0,
      error: {
        code: 'child_failed',
        message: expect.stringMatching(`^child job ${failed.id} failed: invalid_request: .*got neither`),
        retryable: false,
      },
    });
  });
  expect(await listed('error=child_failed')).toEqual([id]);
  expectProblem(await call(instance.url, 'GET', `/jobs/${id}/result`), 409, 'job_failed');
  const retried = await call(instance.url, 'POST', `/jobs/${id}/retry`);
  expect(retried).toMatchObject({ status: 202, body: { status: 'waiting', waiting_for: '1 child job' } });
  await complete(sibling);
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
});

it('a parent that continueParentOnFailure starts too early waits on, and is bought once', async () => {
  const malformed = { ...child('', { delay: 0, continueParentOnFailure: true }), data: {} };
  const { id, children } = await addFlow([malformed, child('Sibling?')]);
  // `ats` is how often a worker has taken the parent.
  await eventually(async () => expect(await redis.hget(`o3q:{o3}:${id}`, 'ats')).toBe('1'));
  await waitsFor(id, '1 child job');
  await complete(...children.slice(1));
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
});

it('a parent that a BullMQ client retries beside its failed child is bought once', async () => {
  const malformed = { ...child('', { delay: 0, failParentOnFailure: true }), data: {} };
  const { id, parent } = await addFlow([malformed]);
  await eventually(async () => {
    const error = { message: expect.stringContaining('invalid_request') };
    expect(await viewOf(instance.url, id)).toMatchObject({ status: 'failed', error });
  });
  await parent.retry();
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
  await eventually(async () => expect(await parent.getState()).toBe('completed'));
});

it('a parent that waits for its children is cancelled at once; they go on; a retry waits for them', async () => {
  const { id, parent, children } = await addFlow([child('One?'), child('Two?')]);
  const [one, two] = children as [Job, Job];
  const cancelled = await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  expect(cancelled).toMatchObject({ status: 200, body: { id, status: 'cancelled' } });
  expect(await parent.getState()).toBe('failed');
  expect(await listed('status=cancelled')).toEqual([id]);
  await complete(one);
  const retried = await call(instance.url, 'POST', `/jobs/${id}/retry`);
  expect(retried).toMatchObject({ status: 202, body: { status: 'waiting' } });
  await waitsFor(id, '1 child job');
  await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  await complete(two);
  expect(await viewOf(instance.url, id)).toMatchObject({ status: 'cancelled', purchases: 0 });
  // BullMQ knows of the end of the last child a moment after our record.
  await eventually(async () => expect(await two.getState()).toBe('completed'));
  expect(await parent.getState()).toBe('failed');
  await call(instance.url, 'POST', `/jobs/${id}/retry`);
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
});

it('a cancelled parent that is itself a child is reported to its parent, without waiting for its children', async () => {
  const middle: FlowJob = {
    ...child('Middle?', { delay: 0, ignoreDependencyOnFailure: true }),
    children: [child('Lowest?')],
  };
  const { id, children } = await addFlow([middle]);
  await waitsFor(id, '1 child job');
  const middleId = String(children[0]?.id);
  await waitsFor(middleId, '1 child job');
  expect(await call(instance.url, 'POST', `/jobs/${middleId}/cancel`)).toMatchObject({
    status: 200,
    body: { status: 'cancelled' },
  });
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ purchases: 1 });
  expect(await viewOf(instance.url, middleId)).toMatchObject({ status: 'cancelled', purchases: 0 });
});

it('the children of a deleted parent stay', async () => {
  const { id, children } = await addFlow([child('Kept?')]);
  await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  expect(await call(instance.url, 'DELETE', `/jobs/${id}`)).toMatchObject({ status: 204 });
  expectProblem(await call(instance.url, 'GET', `/jobs/${id}`), 404, 'job_not_found');
  const [kept] = children as [Job];
  expect(await viewOf(instance.url, String(kept.id))).toMatchObject({ status: 'delayed' });
  await complete(kept);
});
