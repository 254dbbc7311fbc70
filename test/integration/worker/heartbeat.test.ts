import { O3Client } from '../../../src/client/o3-client.ts';
import type { ModelState } from '../../../src/models/view.ts';
import { startWorkerHealth } from '../../../worker/health.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { o3q } from '../../support/process/o3q.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';
import { startWorkerChild } from '../../support/worker/worker-child.ts';
import { startInstance } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** A heartbeat expires six seconds after it was written; the promise is ten. */
const EXPIRY_LIMIT_MS = 10_000;
/** How long an expired heartbeat is kept. */
const LOCKS_RUN_OUT_MS = 20_000;
const START_LIMIT_MS = 180_000;
const NONE = 'a worker: none is running';

let world: WorkerWorld | undefined;
const processes = createCliProcesses();
afterEach(async () => {
  await world?.stop();
  world = undefined;
  await processes.end();
});

async function stateIn({ queue }: WorkerWorld): Promise<ModelState | undefined> {
  return (await queue.models())[0]?.state;
}

it('a worker process that is killed is no worker any more within ten seconds, and its model says so', async () => {
  world = await startWorkerWorld({ workers: 0 });
  const { queue } = world;
  const child = await startWorkerChild(world);
  await eventually(async () => expect(await queue.models()).toMatchObject([{ state: { workers: 1 } }]));
  expect(await stateIn(world)).toMatchObject({ status: 'open', reason: null, free_slots: 100 });
  await child.kill();
  const { id } = await world.ask('Anybody?');
  const killedAt = Date.now();
  await eventually(async () =>
    expect(await queue.get(id)).toMatchObject({ status: 'waiting', waiting_for: NONE }),
  );
  expect(Date.now() - killedAt).toBeLessThan(EXPIRY_LIMIT_MS);
  expect(await stateIn(world)).toMatchObject({
    ...{ status: 'no_worker', reason: 'no worker is running', until: null },
    ...{ workers: 0, free_slots: 0, waiting: 1 },
  });
  await eventually(async () => expect(await queue.troubles()).toEqual(['o3: no worker is running']));

  const next = await startWorkerChild(world);
  expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  expect(await queue.models()).toMatchObject([{ state: { status: 'open', workers: 1 } }]);
  await next.kill();
});

it('a worker that stops is gone at once, and the others stay', async () => {
  world = await startWorkerWorld({ workers: 2, concurrency: 7 });
  expect(await stateIn(world)).toMatchObject({ workers: 2, free_slots: 14 });
  const [first, second] = world.workers;
  if (first === undefined || second === undefined) throw new Error('expected two workers');
  await world.stopWorker(first);
  expect(await stateIn(world)).toMatchObject({ status: 'open', workers: 1, free_slots: 7 });
  await world.stopWorker(second);
  expect(await stateIn(world)).toMatchObject({ status: 'no_worker', workers: 0, free_slots: 0 });
  expect(await world.client.exists(world.keys.workers, world.keys.workerDetails)).toBe(0);
});

it('the next heartbeat says that a worker lives when Redis has lost the last one, and how many jobs it holds', async () => {
  world = await startWorkerWorld({ concurrency: 7 });
  const { client, keys } = world;
  await world.running((await world.ask('First?', { sim_think_ms: '60000' })).id);
  await eventually(async () => {
    await client.del(keys.workers, keys.workerDetails);
    expect(await client.exists(keys.workers)).toBe(0);
  });
  await eventually(async () => expect(await client.zcard(keys.workers)).toBe(1));
  expect(await stateIn(world)).toMatchObject({ status: 'open', workers: 1, free_slots: 6 });
  const [worker = ''] = await client.zrange(keys.workers, '0', '0');
  expect(JSON.parse((await client.hget(keys.workerDetails, worker)) ?? '')).toEqual({
    ...{ host: expect.any(String), pid: process.pid, version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
    ...{ slots: 7, active: 1, watched: true },
  });
});

it('an expired heartbeat does not count, and is removed when the locks of its worker have run out', async () => {
  world = await startWorkerWorld({ workers: 0 });
  const { client, keys } = world;
  await client.zadd(keys.workers, Date.now() - LOCKS_RUN_OUT_MS, 'dead');
  await client.hset(keys.workerDetails, 'dead', JSON.stringify({ slots: 9, active: 0 }));
  expect(await stateIn(world)).toMatchObject({ status: 'no_worker', workers: 0, free_slots: 0 });
  await world.addWorker().alive;
  expect(await client.hexists(keys.workerDetails, 'dead')).toBe(0);
  expect(await client.zscore(keys.workers, 'dead')).toBeNull();
});

it('an instance without a worker is degraded and says so everywhere, and is well with one', async () => {
  const instance = await startInstance({ workers: 0 });
  try {
    const client = new O3Client({ url: instance.url });
    const { id } = await client.enqueue({ question: 'Anybody?' });
    const readiness = () => call(instance.url, 'GET', '/readyz');
    expect(await readiness()).toMatchObject({
      status: 200,
      body: { status: 'degraded', reasons: ['o3: no worker is running'] },
    });
    expect(await client.get(id)).toMatchObject({ waiting_for: NONE, position: 1, eta_ms: null });
    const table = await o3q(['models'], { environment: { O3Q_URL: instance.url } });
    expect(table.stdout).toMatch(/MODEL +UPSTREAM +STATUS +WORKERS +WAITING/);
    expect(table.stdout).toMatch(/o3 +o3 +no worker +0 +1 /);
    expect(table.stdout).toContain('o3: no worker is running');

    const worker = instance.addWorker();
    await worker.alive;
    const health = await startWorkerHealth(() => worker, '127.0.0.1', 0);
    const ofWorker = (path: string) => fetch(`http://127.0.0.1:${health.port}${path}`);
    expect(await (await ofWorker('/readyz')).json()).toEqual({ status: 'ok' });
    const metrics = await (await ofWorker('/metrics')).text();
    expect(metrics).toContain('o3q_workers{model="o3"} 1');
    expect(metrics).toMatch(/o3q_free_slots\{model="o3"\} (99|100)\n/);
    await health.close();
    await eventually(async () =>
      expect(await readiness()).toMatchObject({ status: 200, body: { status: 'ok' } }),
    );
    expect(await client.wait(id)).toMatchObject({ status: 'completed' });
  } finally {
    await instance.stop();
  }
});

it(
  'o3q start has a worker from its first moment on',
  async () => {
    const redis = await startTestRedis();
    const started = await processes.start(['start'], { PORT: '0', REDIS_URL: redis.url });
    const url = await started.says(/o3-queue ready on (\S+)/);
    expect(await call(url, 'GET', '/readyz')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await new O3Client({ url }).models()).toMatchObject([{ state: { status: 'open', workers: 1 } }]);
    await processes.end();
    await redis.stop();
  },
  START_LIMIT_MS,
);
