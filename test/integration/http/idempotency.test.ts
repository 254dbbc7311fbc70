import { parseJobRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, expectProblem, reached } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
/** Another producer on the same Redis. */
let other: Instance;

beforeAll(async () => {
  const { models, defaultModel } = quickModels();
  const o3 = models['o3'];
  if (o3 === undefined) throw new Error('expected o3');
  const two = { defaultModel, models: { o3, mini: o3 } };
  instance = await startInstance({ models: two });
  other = await startInstance({ models: two, redis: instance.redis, workers: 0 });
});
afterAll(async () => {
  await other.stop();
  await instance.stop();
});
beforeEach(() => instance.simulator.ledger.reset());

const post = (key: string, body: unknown, { at = instance, query = '' } = {}): Promise<Answer> =>
  call(at.url, 'POST', `/jobs${query}`, { body, headers: { 'idempotency-key': key } });
const idOf = ({ body }: Answer): string => (body as JobView).id;
const purchases = (): number => instance.simulator.ledger.totals().purchases;

it('the same request with the same key is the same job, in any order of its fields', async () => {
  const first = await post('order', { question: 'Once?', metadata: { a: '1', b: '2' }, max_attempts: 2 });
  expect(first).toMatchObject({ status: 202, headers: { location: `/jobs/${idOf(first)}` } });
  const again = await post('order', { max_attempts: 2, metadata: { b: '2', a: '1' }, question: 'Once?' });
  expect(again).toMatchObject({
    status: 200,
    headers: { location: `/jobs/${idOf(first)}` },
    body: { id: idOf(first) },
  });
  await reached(instance.url, idOf(first), 'completed');
  expect(
    await post('order', { question: 'Once?', metadata: { a: '1', b: '2' }, max_attempts: 2 }),
  ).toMatchObject({ status: 200, body: { id: idOf(first), status: 'completed' } });
  expect(purchases()).toBe(1);
});

it.each([
  ['another question', { question: 'Two?' }],
  ['another option', { question: 'One?', max_attempts: 3 }],
  ['another form', { request: { input: 'One?' } }],
  ['another model', { question: 'One?', model: 'mini' }],
  ['the model named that was asked for without a name', { question: 'One?', model: 'o3' }],
])('another request with the same key is refused: %s', async (what, body) => {
  const first = await post(what, { question: 'One?' });
  expect(first.status).toBe(202);
  expectProblem(await post(what, body), 409, 'idempotency_key_reused');
  expectProblem(await post(what, body, { at: other }), 409, 'idempotency_key_reused');
  await reached(instance.url, idOf(first), 'completed');
  expect(purchases()).toBe(1);
});

it('of twenty equal requests at once, over two producers, one gets 202, and one response is bought', async () => {
  for (let round = 0; round < 5; round += 1) {
    instance.simulator.ledger.reset();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        post(`crowd-${round}`, { question: 'All at once?' }, { at: i % 2 === 0 ? instance : other }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([...Array(19).fill(200), 202]);
    const [id, ...others] = new Set(answers.map(idOf));
    expect(others).toEqual([]);
    await reached(instance.url, id ?? '', 'completed');
    expect(purchases()).toBe(1);
    expect(await call(instance.url, 'GET', '/jobs?status=active')).toMatchObject({ body: { jobs: [] } });
  }
});

it('of twenty requests at once for two models, those of one model get its job and the others are refused', async () => {
  for (let round = 0; round < 5; round += 1) {
    instance.simulator.ledger.reset();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        post(
          `models-${round}`,
          { question: 'Which?', model: i % 2 === 0 ? 'o3' : 'mini' },
          { at: i % 3 === 0 ? instance : other },
        ),
      ),
    );
    const statuses = answers.map(({ status }) => status).toSorted();
    expect(statuses).toEqual([...Array(9).fill(200), 202, ...Array(10).fill(409)]);
    const accepted = answers.find(({ status }) => status === 202);
    if (accepted === undefined) throw new Error('expected one to be accepted');
    await reached(instance.url, idOf(accepted), 'completed');
    expect(purchases()).toBe(1);
  }
});

it('a repeated request waits for the job as the first one does', async () => {
  const body = { question: 'Worth waiting?', metadata: { sim_think_ms: '300' } };
  const [first, again] = await Promise.all([
    post('wait', body, { query: '?wait=20' }),
    post('wait', body, { query: '?wait=20', at: other }),
  ]);
  expect(first).toMatchObject({ status: 200, body: { status: 'completed' } });
  expect(again).toMatchObject({ status: 200, body: { status: 'completed', id: idOf(first) } });
  expect(purchases()).toBe(1);
});

it('a key is free again when its job is deleted, and the new job has nothing of the old one', async () => {
  const first = await post('free', { question: 'Old?' });
  await reached(instance.url, idOf(first), 'completed');
  expect(await call(instance.url, 'DELETE', `/jobs/${idOf(first)}`)).toMatchObject({ status: 204 });
  const second = await post('free', { question: 'New?', model: 'mini' });
  expect(second).toMatchObject({ status: 202 });
  expect(await reached(instance.url, idOf(second), 'completed')).toMatchObject({
    question: 'New?',
    model: 'mini',
    purchases: 1,
  });
});

it('a job that was removed through BullMQ alone leaves nothing to the next job of its key', async () => {
  const first = await post('board', { question: 'Old?' });
  await reached(instance.url, idOf(first), 'completed');
  const queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
  await queue.queues.find(({ model }) => model === 'o3')?.bullmq.remove(idOf(first));
  await queue.close();
  const second = await post('board', { question: 'Old?', delay_ms: 3_600_000 });
  expect(second).toMatchObject({ status: 202, body: { id: idOf(first) } });
  const view = await call(instance.url, 'GET', `/jobs/${idOf(second)}`);
  expect(view.body).toMatchObject({ status: 'delayed', attempt: 0, purchases: 0 });
  const completed = await call(instance.url, 'GET', '/jobs?status=completed&q=old&limit=100');
  expect(JSON.stringify(completed.body)).not.toContain(idOf(first));
});

it('a repeated request finds its job when the deadline of both has passed', async () => {
  const body = { question: 'In time?', deadline: new Date(Date.now() + 800).toISOString() };
  const first = await post('late', body);
  expect(first.status).toBe(202);
  // Wait until a new job with this deadline would be refused.
  await eventually(async () =>
    expect(await call(instance.url, 'POST', '/jobs', { body })).toMatchObject({ status: 400 }),
  );
  expect(await post('late', body)).toMatchObject({ status: 200, body: { id: idOf(first) } });
  expectProblem(await post('later', body), 400, 'invalid_request');
});

it('tenants never share a job, not even with the same key', async () => {
  const queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
  const [alice, bob] = ['alice', 'bob'].map((tenant) => queue.as({ tenant, admin: false }));
  if (alice === undefined || bob === undefined) throw new Error('expected two');
  const hers = await alice.enqueue(parseJobRequest({ question: 'Hers?' }), 'key');
  const his = await bob.enqueue(parseJobRequest({ question: 'His?' }), 'key');
  const untenanted = await queue.enqueue(parseJobRequest({ question: 'Without a tenant?' }), 'key');
  expect([hers, his, untenanted].map(({ isNew }) => isNew)).toEqual([true, true, true]);
  expect(new Set([hers, his, untenanted].map(({ job }) => job.id)).size).toBe(3);
  expect(await alice.enqueue(parseJobRequest({ question: 'Hers?' }), 'key')).toMatchObject({
    isNew: false,
    job: { id: hers.job.id },
  });
  expect((await alice.list()).jobs).toMatchObject([{ id: hers.job.id, tenant: 'alice' }]);
  await queue.close();
});

it.each([
  ['empty', ''],
  ['too long', 'k'.repeat(256)],
  ['beyond ASCII', 'schlüssel'],
  ['a tab', 'a\tb'],
])('an invalid key is refused: %s', async (_what, key) => {
  expectProblem(await post(key, { question: 'Why?' }), 400, 'invalid_request');
});

it('the longest key is accepted', async () => {
  expect(await post('~'.repeat(255), { question: 'Why?' })).toMatchObject({ status: 202 });
});

it('a repeated request finds the job when Redis cut the first answer off', async () => {
  const first = post('cut', { question: 'Lost?', delay_ms: 3_600_000 });
  await instance.redis.kill('SIGSTOP');
  const lost = await first;
  await instance.redis.kill('SIGCONT');
  // Either it was quick enough, or it was cut off: what matters is that there is one job in the end.
  expect([202, 503]).toContain(lost.status);
  // A producer whose Redis hung answers 503 until Redis has answered its probe.
  const again = await eventually(async () => {
    const repeat = await post('cut', { question: 'Lost?', delay_ms: 3_600_000 });
    expect(lost.status === 202 ? [200] : [200, 202]).toContain(repeat.status);
    return repeat;
  });
  const { body } = await call(instance.url, 'GET', '/jobs?q=lost');
  expect((body as { jobs: JobView[] }).jobs).toMatchObject([{ id: idOf(again) }]);
});
