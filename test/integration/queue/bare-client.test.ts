import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobPage } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let redis: Redis;
/** A client as any app in any language has it: it knows the queue's name, the prefix and the data format. */
let bare: Queue;

beforeEach(async () => {
  instance = await startInstance({ workers: 0 });
  redis = new Redis(instance.redis.url);
  bare = new Queue('{o3}', { prefix: 'o3q', connection: redis });
});
afterEach(async () => {
  await bare.close();
  redis.disconnect();
  await instance.stop();
});

const get = (path: string): Promise<Answer> => call(instance.url, 'GET', path);
async function listed(query = ''): Promise<string[]> {
  return ((await get(`/jobs${query}`)).body as JobPage).jobs.map(({ id }) => id);
}

it.each([
  ['a question', { question: 'From afar?' }],
  ['a request', { request: { input: 'From afar?' } }],
  [
    'a request with options',
    { request: { input: 'From afar?', reasoning: { effort: 'low' } }, stream: false },
  ],
])('%s without an id runs like any other, under its number', async (_what, data) => {
  const job = await bare.add('From afar?', data);
  const id = `o3:${job.id}`;
  expect(job.id).toBe('1');
  expect(await viewOf(instance.url, id)).toMatchObject({
    id,
    status: 'waiting',
    question: 'From afar?',
    model: 'o3',
  });
  expect(await viewOf(instance.url, '1')).toMatchObject({ id });
  expect(await listed()).toEqual([id]);
  expect(await listed('?status=waiting')).toEqual([id]);
  instance.addWorker();
  expect(await reached(instance.url, id, 'completed')).toMatchObject({
    id,
    attempt: 1,
    max_attempts: 5,
    result: { answer_preview: expect.stringContaining('From afar?') },
  });
  expect(await get(`/jobs/${id}/result`)).toMatchObject({ status: 200, body: { model: 'o3' } });
  expect(await listed('?status=completed')).toEqual([id]);
  expect(await listed('?status=waiting')).toEqual([]);
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, completed: 1 });
});

it('a job of a bare client with an id of its own is known by that id', async () => {
  const ids = ['order-4711', 'Größe 🦄/7%', 'a.b_c~d'];
  for (const jobId of ids) await bare.add('Mine?', { question: 'Mine?' }, { jobId });
  expect((await listed()).toSorted()).toEqual(ids.toSorted());
  instance.addWorker();
  for (const id of ids) {
    const path = encodeURIComponent(id);
    expect(await reached(instance.url, path, 'completed')).toMatchObject({ id });
    expect(await get(`/jobs/${path}/result`)).toMatchObject({ status: 200 });
    expect(await call(instance.url, 'DELETE', `/jobs/${path}`)).toMatchObject({ status: 204 });
    expectProblem(await get(`/jobs/${path}`), 404, 'job_not_found');
  }
  expect(await listed()).toEqual([]);
});

it('the delay, priority and attempts of a bare client count', async () => {
  const delayed = await bare.add('Later?', { question: 'Later?' }, { delay: 3_600_000 });
  const prioritized = await bare.add('Soon?', { question: 'Soon?' }, { priority: 7, attempts: 2 });
  expect(await viewOf(instance.url, `o3:${delayed.id}`)).toMatchObject({ status: 'delayed' });
  expect(await viewOf(instance.url, `o3:${prioritized.id}`)).toMatchObject({
    status: 'waiting',
    max_attempts: 2,
  });
  expect(await listed('?status=delayed')).toEqual([`o3:${delayed.id}`]);
  expect(await listed('?status=waiting')).toEqual([`o3:${prioritized.id}`]);
});

it('a job of a bare client can be cancelled before it starts, and is then listed as cancelled', async () => {
  const job = await bare.add('Never?', { question: 'Never?' });
  const id = `o3:${job.id}`;
  expect(await call(instance.url, 'POST', `/jobs/${id}/cancel`)).toMatchObject({
    status: 200,
    body: { id, status: 'cancelled' },
  });
  expect(await listed()).toEqual([id]);
  expect(await listed('?status=cancelled')).toEqual([id]);
  expect(await job.getState()).toBe('failed');
  instance.addWorker();
  await reached(instance.url, (await enqueue(instance.url, { question: 'Next?' })).id, 'completed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a job of a bare client can be cancelled while it runs', async () => {
  instance.addWorker();
  const job = await bare.add('Stop?', { question: 'Stop?', metadata: { sim: 'stall', sim_events: '3' } });
  await reached(instance.url, `o3:${job.id}`, 'active');
  await call(instance.url, 'POST', `/jobs/o3:${job.id}/cancel`);
  await reached(instance.url, `o3:${job.id}`, 'cancelled');
});

it.each([
  ['nothing', undefined, 'expected either "question" or "request", got neither'],
  ['an empty object', {}, 'expected either "question" or "request", got neither'],
  ['a text', 'Why?', 'expected object, got "Why?"'],
  ['a list', ['Why?'], 'expected object, got an array'],
  ['both forms', { question: 'a', request: { input: 'b' } }, 'got both'],
  ['an empty question', { question: ' ' }, 'question: expected a question, got an empty text'],
  ['an unknown field', { question: 'Why?', promt: 'x' }, 'got "promt"'],
  ['a queue option, which BullMQ keeps itself', { question: 'Why?', priority: 1 }, 'got "priority"'],
  ['a wrong type', { question: 'Why?', timeout_ms: '60' }, 'timeout_ms: expected number, got "60"'],
  ['hostile metadata', { request: { input: 'a', metadata: { constructor: 'x' } } }, 'got "constructor"'],
  ['no input', { request: { model: 'o3' } }, 'request: expected "input" (or "prompt"), got neither'],
])('%s for data fails at once, for good, and buys nothing', async (_what, data, said) => {
  instance.addWorker();
  const job = await bare.add('Malformed', data, { attempts: 5 });
  expect(await reached(instance.url, `o3:${job.id}`, 'failed')).toMatchObject({
    attempt: 0,
    error: { code: 'invalid_request', message: expect.stringContaining(said), retryable: false },
  });
  // The worker writes our record first and tells BullMQ right after.
  await eventually(async () => expect(await job.getState()).toBe('failed'));
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 0, rejected: 0, polls: 0 });
  const { id } = await enqueue(instance.url, { question: 'Still there?' });
  await reached(instance.url, id, 'completed');
});

it('a job of a bare client with absurd times is shown, and breaks no list', async () => {
  const early = await bare.add('Long ago?', { question: 'Long ago?' }, { timestamp: -8e15 });
  const late = await bare.add('Far away?', { question: 'Far away?' }, { timestamp: 9e15, delay: 1e15 });
  const { id } = await enqueue(instance.url, { question: 'Now?' });
  expect((await listed()).toSorted()).toEqual([id, `o3:${early.id}`, `o3:${late.id}`].toSorted());
  const first = (await get('/jobs?limit=1')).body as JobPage;
  const second = (await get(`/jobs?limit=1&cursor=${first.next_cursor}`)).body as JobPage;
  const third = (await get(`/jobs?limit=1&cursor=${second.next_cursor}`)).body as JobPage;
  expect([first, second, third].map(({ jobs }) => jobs[0]?.id)).toEqual([
    `o3:${late.id}`,
    id,
    `o3:${early.id}`,
  ]);
});

it('a job that a bare client removed is gone from every list', async () => {
  const job = await bare.add('Removed?', { question: 'Removed?' });
  expect(await listed()).toEqual([`o3:${job.id}`]);
  await job.remove();
  expect(await listed()).toEqual([]);
  expectProblem(await get(`/jobs/o3:${job.id}`), 404, 'job_not_found');
});
