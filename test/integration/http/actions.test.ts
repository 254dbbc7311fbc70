import { Redis } from 'ioredis';
import { sleep } from '../../../src/async/sleep.ts';
import type { Action, Selection } from '../../../src/job/action.ts';
import type { JobView } from '../../../src/job/view.ts';
import { leaseActionPart, passJobScript } from '../../../src/lua/selections/actions.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const KEYS = ['admin', 'alice', 'bob'].map((name) => ({ name, secret: `${name}-secret` }));
const o3 = quickModels().models['o3'];
if (o3 === undefined) throw new Error('expected a model o3');
const models = { o3, mini: { ...o3, upstream: 'o3' } };

let server: TestRedis;
let redis: Redis;
let instance: Instance;
let queue: InstanceQueue;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});

async function start(options: Parameters<typeof startInstance>[0] = {}): Promise<void> {
  instance = await startInstance({ redis: server, workers: 0, models: { models }, ...options });
  queue = new InstanceQueue({ redisUrl: server.url, ...instance.models });
}

afterEach(async () => {
  await queue.close();
  await instance.stop();
  await redis.flushall();
});

afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function enqueueMany(count: number, request: (i: number) => object = () => ({})): Promise<string[]> {
  const outcomes = await queue.enqueueBulk(
    Array.from({ length: count }, (_, i) => ({ question: `Question ${i}?`, ...request(i) })),
  );
  return outcomes.map((outcome) => {
    if (!outcome.ok) throw outcome.error;
    return outcome.job.id;
  });
}

const as = (key: string) => ({ headers: { authorization: `Bearer ${key}-secret` } });

async function post(path: string, body: unknown, key?: string): Promise<Action> {
  const answer = await call(instance.url, 'POST', path, { body, ...(key && as(key)) });
  expect(answer.status).toBe(202);
  const action = answer.body as Action;
  expect(answer.headers['location']).toBe(`/actions/${action.id}`);
  return action;
}

async function ended(id: string, key?: string): Promise<Action> {
  return eventually(async () => {
    const { body } = await call(instance.url, 'GET', `/actions/${id}`, key === undefined ? {} : as(key));
    expect((body as Action).finished_at).not.toBeNull();
    return body as Action;
  });
}

async function statuses(ids: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  // A busy machine does not answer a thousand lookups at once within the two seconds of a command.
  for (let i = 0; i < ids.length; i += 50) {
    const some = ids.slice(i, i + 50).map(async (id) => (await queue.find(id))?.status ?? 'deleted');
    found.push(...(await Promise.all(some)));
  }
  return found;
}

it('a selection is cancelled, retried and deleted, and nothing else is', async () => {
  await start();
  const [red, blue] = [
    await enqueueMany(30, (i) => ({ model: i % 2 === 0 ? 'o3' : 'mini', metadata: { team: 'red' } })),
    await enqueueMany(5, () => ({ metadata: { team: 'blue' } })),
  ];
  const filter = { metadata: { team: 'red' } };
  const dry = await call(instance.url, 'POST', '/jobs/cancel', { body: { filter, dry_run: true } });
  expect(dry).toMatchObject({ status: 200, body: { matching: 30, more: false, cost_usd: 0 } });
  expect(new Set(await statuses(red))).toEqual(new Set(['waiting']));

  const cancelled = await post('/jobs/cancel', { filter });
  expect(cancelled).toMatchObject({ kind: 'cancel', filter, matching: 30, started_by: null });
  expect(await ended(cancelled.id)).toMatchObject({ status: 'done', done: 30, skipped: {}, failed: {} });
  expect(new Set(await statuses(red))).toEqual(new Set(['cancelled']));

  // Without a status only failed jobs are retried.
  const none = await post('/jobs/retry', { filter });
  expect(await ended(none.id)).toMatchObject({ matching: 0, done: 0, filter: { status: 'failed' } });
  const retried = await post('/jobs/retry', { filter: { ...filter, status: 'cancelled' } });
  expect(await ended(retried.id)).toMatchObject({ status: 'done', done: 30 });
  expect(new Set(await statuses(red))).toEqual(new Set(['waiting']));

  const again = await post('/jobs/cancel', { filter: { ...filter, status: 'waiting', model: 'mini' } });
  expect(await ended(again.id)).toMatchObject({ matching: 15, done: 15 });
  const deleted = await post('/jobs/delete', { filter });
  expect(await ended(deleted.id)).toMatchObject({ matching: 15, done: 15 });
  expect((await statuses(red)).filter((status) => status === 'deleted')).toHaveLength(15);
  expect(new Set(await statuses(blue))).toEqual(new Set(['waiting']));

  const { body } = await call(instance.url, 'GET', '/actions');
  expect((body as { actions: Action[] }).actions.map(({ kind }) => kind)).toEqual([
    'delete',
    'cancel',
    'retry',
    'retry',
    'cancel',
  ]);
});

it('an action retries what has failed for one reason, and says what it cost', async () => {
  await start({ workers: 1 });
  const ids = await enqueueMany(6, (i) => ({ ...(i < 4 && { metadata: { sim: '400' } }) }));
  await eventually(async () =>
    expect((await statuses(ids)).sort()).toEqual(['completed', 'completed', ...Array(4).fill('failed')]),
  );
  const failed = (await queue.list({ status: 'failed' })).jobs;
  const code = failed[0]?.status === 'failed' ? failed[0].error.code : '';
  for (const worker of instance.workers) await instance.stopWorker(worker);
  const { body } = await call(instance.url, 'POST', '/jobs/retry', {
    body: { filter: { error: code }, dry_run: true },
  });
  expect(body as Selection).toMatchObject({ matching: 4, more: false });
  const action = await post('/jobs/retry', { filter: { error: code } });
  expect(await ended(action.id)).toMatchObject({ done: 4 });
  expect((await queue.list({ error: code })).jobs).toEqual([]);
});

it('jobs that are enqueued after the start are not touched', async () => {
  await start();
  await enqueueMany(400);
  // One process starts the action and enqueues all jobs, so there is one clock.
  const action = await queue.actions.start('cancel', {});
  await sleep(2);
  const later = await enqueueMany(20);
  expect(await ended(action.id)).toMatchObject({ matching: 400, done: 400 });
  expect(new Set(await statuses(later))).toEqual(new Set(['waiting']));
});

it('an action can be stopped, and what it has done stays done', async () => {
  await start();
  const ids = await enqueueMany(1000);
  const action = await post('/jobs/cancel', { filter: {} });
  const stopping = await call(instance.url, 'POST', `/actions/${action.id}/stop`);
  expect(stopping).toMatchObject({ status: 200 });
  const { status, done } = await ended(action.id);
  expect(status).toBe('stopped');
  expect(done).toBeLessThan(1000);
  const cancelled = (await statuses(ids)).filter((each) => each === 'cancelled');
  expect(cancelled).toHaveLength(done);
  const again = await call(instance.url, 'POST', `/actions/${action.id}/stop`);
  expect(again.body).toMatchObject({ status: 'stopped', done });
});

it('a worker drives the actions of an app that has only Redis', async () => {
  await start();
  const ids = await enqueueMany(10);
  await instance.producer.close();
  const action = await queue.actions.start('cancel', {});
  instance.addWorker();
  await eventually(async () => expect(await queue.actions.get(action.id)).toMatchObject({ status: 'done' }));
  expect(await statuses(ids)).not.toContain('waiting');
});

it('a tenant acts on its own jobs only, and sees only its own actions', async () => {
  await start({ keys: KEYS });
  const mine: Record<string, string[]> = {};
  for (const key of ['alice', 'bob']) {
    const jobs = Array.from({ length: 3 }, () => ({ question: `Of ${key}?` }));
    const { body } = await call(instance.url, 'POST', '/jobs/bulk', { body: { jobs }, ...as(key) });
    mine[key] = (body as { outcomes: { job: JobView }[] }).outcomes.map(({ job }) => job.id);
  }
  const others = await call(instance.url, 'POST', '/jobs/cancel', {
    body: { filter: { tenant: 'bob' } },
    ...as('alice'),
  });
  expectProblem(others, 403, 'forbidden');
  const action = await post('/jobs/cancel', { filter: {} }, 'alice');
  expect(await ended(action.id, 'alice')).toMatchObject({ matching: 3, done: 3, started_by: 'alice' });
  expect(new Set(await statuses(mine['alice'] ?? []))).toEqual(new Set(['cancelled']));
  expect(new Set(await statuses(mine['bob'] ?? []))).toEqual(new Set(['waiting']));
  for (const [method, path] of [
    ['GET', ''],
    ['POST', '/stop'],
  ] as const) {
    const answer = await call(instance.url, method, `/actions/${action.id}${path}`, as('bob'));
    expectProblem(answer, 404, 'action_not_found');
  }
  expect((await call(instance.url, 'GET', '/actions', as('bob'))).body).toEqual({ actions: [] });
  expect((await call(instance.url, 'GET', '/actions', as('admin'))).body).toMatchObject({
    actions: [{ id: action.id }],
  });
  const all = await post('/jobs/cancel', { filter: { tenant: 'bob' } }, 'admin');
  expect(await ended(all.id, 'admin')).toMatchObject({ done: 3, started_by: 'admin' });
});

it('at most five actions of a tenant run at the same time', async () => {
  await start();
  // Without a producer and a worker no process carries them out.
  await instance.producer.close();
  for (let i = 0; i < 5; i += 1) await queue.actions.start('cancel', {});
  await expect(queue.actions.start('cancel', {})).rejects.toMatchObject({ code: 'too_many_actions' });
  expect(await queue.actions.list()).toHaveLength(5);
});

it.each([
  ['/jobs/cancel', {}, /filter/],
  ['/jobs/cancel', { filter: { status: 'completed' } }, /status of a job that has not ended/],
  ['/jobs/retry', { filter: { status: 'waiting' } }, /failed or cancelled/],
  ['/jobs/delete', { filter: { status: 'active' } }, /that has ended/],
  ['/jobs/delete', { filter: { sttaus: 'failed' } }, /expected|nrecognized/],
  ['/jobs/delete', { filter: { model: 'nope' } }, /expected one of o3, mini/],
  ['/jobs/delete', { filter: {}, dry_run: 'yes' }, /boolean/],
])('POST %s %j is refused', async (path, body, said) => {
  await start();
  const answer = await call(instance.url, 'POST', path, { body });
  expectProblem(answer, 400, 'invalid_request');
  expect(JSON.stringify(answer.body)).toMatch(said);
});

it('a process that was lent an action before another one can touch no job, and no job is touched twice', async () => {
  await start();
  const part = keysOf('o3q', 'o3').actionPart('act_1');
  const lease = (token: string, now: number) =>
    leaseActionPart.run(redis, { keys: { part }, args: { token, now, leaseUntil: now + 10 } });
  const pass = (id: string, token: string, created: number) =>
    passJobScript.run(redis, {
      keys: { part },
      args: { id, actionToken: token, actionCreated: created, outcome: 'missing' },
    });
  expect(await lease('one', 1000)).toEqual(['leased']);
  expect(await lease('two', 1005)).toEqual(['held']);
  expect(await pass('job_5', 'one', 50)).toBe('ok');
  expect(await pass('job_5', 'one', 50)).toBe('passed');
  expect(await pass('job_6', 'one', 50)).toBe('passed');
  expect(await pass('job_9', 'one', 51)).toBe('passed');
  expect(await lease('two', 1020)).toEqual(['leased', '50', 'job_5']);
  expect(await pass('job_4', 'one', 50)).toBe('fenced');
  expect(await pass('job_4', 'two', 50)).toBe('ok');
  expect(await pass('job_9', 'two', 49)).toBe('ok');
  expect(await redis.hget(part, 'missing')).toBe('3');
});
