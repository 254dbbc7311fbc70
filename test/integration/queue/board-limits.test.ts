import { parseJobRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import { createQuota } from '../../../src/quota/quota.ts';
import { startWorkerHealth } from '../../../worker/health.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const SLOW = { sim_think_ms: '60000' };

let world: WorkerWorld | undefined;
let instance: Instance | undefined;
afterEach(async () => {
  await world?.stop();
  await instance?.stop();
  world = undefined;
  instance = undefined;
});

async function waitsFor({ queue }: WorkerWorld, id: string, words: string): Promise<JobView> {
  return eventually(async () => {
    const view = await queue.get(id);
    expect(view).toMatchObject({ status: 'waiting', waiting_for: words, attempt: 0, purchases: 0 });
    return view as JobView;
  });
}

/** Expects that nothing is half-started: no job in BullMQ's list, and no quota reserved. */
async function expectNothingStarted({ client, keys, queue }: WorkerWorld): Promise<void> {
  expect(await client.lrange(keys.queue('wait'), 0, -1)).toEqual([]);
  const [view] = await queue.models();
  const active = await client.llen(keys.queue('active'));
  expect(view?.state.in_flight).toBe(active);
}

it('a queue that is paused on Bull Board starts nothing, says so, and goes on after a resume', async () => {
  world = await startWorkerWorld();
  const { queue } = world;
  await world.model().bullmq.pause();
  const jobs = await Promise.all(['One?', 'Two?'].map((question) => world?.ask(question)));
  const ids = jobs.map((job) => job?.id ?? '');
  await waitsFor(world, ids[1] ?? '', 'the queue to be resumed: it is paused on Bull Board');
  await expectNothingStarted(world);
  expect(await queue.models()).toMatchObject([
    {
      board: { paused: true, concurrency: null, rate_limit: null },
      state: { status: 'paused', reason: 'paused on Bull Board; `o3q resume o3` ends this', waiting: 2 },
    },
  ]);
  await eventually(async () =>
    expect(await queue.troubles()).toEqual(['o3: paused on Bull Board; `o3q resume o3` ends this']),
  );
  expect(await queue.resume('o3')).toEqual({
    ...{ model: 'o3', upstream_models: ['o3'] },
    ...{ resumed: true, ended_on_board: ['pause'] },
  });
  for (const id of ids) {
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  }
  expect(await queue.models()).toMatchObject([{ board: { paused: false }, state: { status: 'open' } }]);
});

it('jobs that were started, but not taken before the pause, go back to their places in line', async () => {
  world = await startWorkerWorld({ workers: 0 });
  const model = world.model();
  const ids: string[] = [];
  for (const question of ['One?', 'Two?', 'Three?']) ids.push((await world.ask(question)).id);
  // What a dispatcher does that dies before a worker takes the jobs.
  const { jobs } = await model.fairQueue.next(2);
  await createQuota(world.client, 'o3q', 'o3').reserve(
    jobs.map(({ id }) => ({ id: `o3:${id}`, inputTokens: 1, class: '/' })),
    { requestsPerMinute: undefined, tokensPerMinute: undefined, maxInFlight: undefined },
  );
  await model.fairQueue.start(jobs.map(({ id, tenant }) => ({ id, tenant, reservedModel: 'o3' })));
  expect(await world.client.llen(world.keys.queue('wait'))).toBe(2);
  await model.bullmq.pause();
  await model.fairQueue.next(2);
  expect(await world.client.llen(world.keys.queue('wait'))).toBe(0);
  for (const [i, id] of ids.entries()) expect(await world.queue.get(id)).toMatchObject({ position: i + 1 });
  expect(await world.client.hget(world.keys.run(ids[0] ?? ''), 'reserved_model')).toBeNull();
  await world.queue.resume('o3');
  world.addWorker();
  for (const id of ids) {
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  }
});

it('no job starts between a look at the queue and a pause', async () => {
  world = await startWorkerWorld({ workers: 0 });
  const model = world.model();
  const { id } = await world.ask('One?');
  const { jobs } = await model.fairQueue.next(1);
  await model.bullmq.pause();
  const started = await model.fairQueue.start(
    jobs.map((job) => ({ id: job.id, tenant: job.tenant, reservedModel: 'o3' })),
  );
  expect(started).toEqual([false]);
  expect(await world.queue.get(id)).toMatchObject({ status: 'waiting', position: 1 });
});

it('a limit of jobs at once that was set on Bull Board holds over all workers, and is said', async () => {
  world = await startWorkerWorld({ workers: 2 });
  const { client, keys, queue } = world;
  await world.model().bullmq.setGlobalConcurrency(2);
  const outcomes = await queue.enqueueBulk(
    Array.from({ length: 8 }, (_, i) => ({ question: `${i}?`, metadata: { sim_think_ms: '200' } })),
  );
  const last = (await world.ask('Last?')).id;
  await waitsFor(world, last, 'the limit of 2 jobs at once, set on Bull Board');
  const reason = 'limited on Bull Board to 2 jobs at once; `o3q resume o3` ends this';
  expect(await queue.models()).toMatchObject([
    { board: { paused: false, concurrency: 2, rate_limit: null }, state: { status: 'limited', reason } },
  ]);
  await eventually(async () => expect(await queue.troubles()).toEqual([`o3: ${reason}`]));
  const seen: number[] = [];
  await eventually(async () => {
    const [active, wait] = await Promise.all([
      client.llen(keys.queue('active')),
      client.llen(keys.queue('wait')),
    ]);
    seen.push(active + wait);
    expect(await queue.get(last)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  });
  expect(Math.max(...seen)).toBe(2);
  for (const outcome of outcomes) {
    if (!outcome.ok) throw outcome.error;
    expect(await world.finished(outcome.job.id)).toMatchObject({ status: 'completed', attempt: 1 });
  }
});

it('a rate limit that was set on Bull Board holds, is said, and ends with a resume at once', async () => {
  world = await startWorkerWorld();
  const { queue } = world;
  await world.model().bullmq.setGlobalRateLimit(2, 600_000);
  const ids: string[] = [];
  for (let i = 0; i < 4; i += 1) ids.push((await world.ask(`${i}?`)).id);
  const [first = '', second = '', third = '', fourth = ''] = ids;
  for (const id of [first, second]) expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  const view = await waitsFor(world, third, 'the limit of 2 jobs per 600 s, set on Bull Board');
  expect(view).toMatchObject({ position: 1 });
  await eventually(async () =>
    expect(await queue.get(fourth)).toMatchObject({
      position: 2,
      eta_basis: expect.stringContaining('limit of 2 jobs per 600 s, set on Bull Board'),
    }),
  );
  await expectNothingStarted(world);
  const reason = 'limited on Bull Board to 2 jobs per 600 s; `o3q resume o3` ends this';
  expect(await queue.models()).toMatchObject([
    { board: { rate_limit: { max: 2, duration_ms: 600_000 } }, state: { status: 'limited', reason } },
  ]);
  expect(await queue.resume('o3')).toMatchObject({ resumed: true, ended_on_board: ['rate_limit'] });
  for (const id of [third, fourth]) {
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  }
});

it('a resume on Bull Board itself goes on as well', async () => {
  world = await startWorkerWorld();
  const { bullmq } = world.model();
  await bullmq.setGlobalConcurrency(1);
  await world.running((await world.ask('Slow?', SLOW)).id);
  const { id } = await world.ask('Next?');
  await waitsFor(world, id, 'the limit of 1 job at once, set on Bull Board');
  await bullmq.removeGlobalConcurrency();
  expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
});

it('the board, the console, metrics and readiness show what was set on Bull Board, and o3q resume ends all of it', async () => {
  instance = await startInstance();
  const { url, workers } = instance;
  const worker = workers[0];
  if (worker === undefined) throw new Error('expected a worker');
  const put = (path: string, body?: object) =>
    call(url, 'PUT', `/board/api/queues/o3/${path}`, {
      ...(body && { body }),
      headers: { 'sec-fetch-site': 'same-origin' },
    });
  for (const answer of [
    await put('pause'),
    await put('concurrency', { concurrency: 3 }),
    await put('rate-limit', { max: 5, duration: 60_000 }),
  ])
    expect(answer).toMatchObject({ status: 200 });
  const reason =
    'paused on Bull Board, and limited there to 3 jobs at once and 5 jobs per 60 s; `o3q resume o3` ends this';
  await eventually(async () =>
    expect(await call(url, 'GET', '/readyz')).toMatchObject({
      status: 200,
      body: { status: 'degraded', reasons: [`o3: ${reason}`] },
    }),
  );
  const board = await call(url, 'GET', '/board/api/queues');
  // The board may also say when the upstream shuts the model down.
  expect(board.body).toMatchObject({
    queues: [{ name: 'o3', description: expect.stringContaining(reason) }],
  });
  const health = await startWorkerHealth(() => worker, '127.0.0.1', 0);
  const metrics = async () => (await fetch(`http://127.0.0.1:${health.port}/metrics`)).text();
  await eventually(async () => {
    const text = await metrics();
    for (const kind of ['pause', 'concurrency', 'rate_limit'])
      expect(text).toContain(`o3q_board_limit{model="o3",kind="${kind}"} 1`);
  });
  const environment = { O3Q_URL: url };
  expect((await o3q(['models'], { environment })).stdout).toContain(`o3: ${reason}`);
  expect(await o3q(['resume', 'o3'], { environment })).toMatchObject({
    code: 0,
    stdout: 'o3 is resumed\nended on Bull Board: pause, concurrency, rate limit\n',
  });
  expect(await o3q(['resume', 'o3'], { environment })).toMatchObject({
    code: 0,
    stdout: 'o3 was not paused\n',
  });
  await eventually(async () =>
    expect(await call(url, 'GET', '/readyz')).toMatchObject({ body: { status: 'ok' } }),
  );
  await eventually(async () =>
    expect(await metrics()).toContain('o3q_board_limit{model="o3",kind="pause"} 0'),
  );
  await health.close();
});

it('a job of a tenant reserves nothing of its budget while its model is paused on Bull Board', async () => {
  world = await startWorkerWorld({
    models: {
      tenants: {
        alice: { weight: 1, maxInFlight: 1, dailyBudgetUsd: 5, onBudgetExhausted: 'wait' },
      },
    },
  });
  await world.model().bullmq.pause();
  const alice = world.queue.as({ tenant: 'alice', admin: false });
  const { job } = await alice.enqueue(parseJobRequest({ question: 'Mine?' }));
  await waitsFor(world, job.id, 'the queue to be resumed: it is paused on Bull Board');
  await expectNothingStarted(world);
  expect(await world.client.keys('o3q:tenant:*')).toEqual([]);
});
