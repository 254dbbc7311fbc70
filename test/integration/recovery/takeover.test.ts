import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../support/eventually.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import {
  startWorkerChild,
  type WorkerChild,
  type WorkerChildOptions,
} from '../../support/worker/worker-child.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

/** Locks outlast the wait for a takeover, so that only heartbeats can lead to one. */
const LONG_LOCKS = { lockMs: 30_000, stalledMs: 1000 };
const TEST_LIMIT_MS = 90_000;
/** How long a test waits for a fact, on a busy machine. */
const FACT_LIMIT_MS = 40_000;
const ENDLESS = { sim: 'stall', sim_events: '3' };
const RECOVERED = 'recovered from a worker that died';
const NO_BACKGROUND = Object.fromEntries(
  Object.entries(quickModels().models).map(([name, model]) => [
    name,
    { ...model, background: 'never' as const },
  ]),
);

let world: WorkerWorld;
const children: WorkerChild[] = [];
const busyLoops: ChildProcess[] = [];
const start = async (options: WorkerWorldOptions = {}): Promise<void> => {
  world = await startWorkerWorld({ workers: 0, ...options });
};
afterEach(async () => {
  for (const loop of busyLoops.splice(0)) {
    loop.kill('SIGKILL');
    await once(loop, 'exit');
  }
  await Promise.all(children.splice(0).map((child) => child.kill()));
  await world.stop();
}, TEST_LIMIT_MS);

async function addChild(options: WorkerChildOptions = {}): Promise<WorkerChild> {
  const { models } = world.models;
  const child = await startWorkerChild(world, { recovery: LONG_LOCKS, models, ...options });
  children.push(child);
  return child;
}

/** The gate loses answers on a machine under full load. */
const addUngatedChild = (): Promise<WorkerChild> => addChild({ baseUrl: world.upstreamUrl });

async function askMany(count: number, metadata: Record<string, string>): Promise<string[]> {
  const jobs = await Promise.all(
    Array.from({ length: count }, (_, i) => world.ask(`Who ${i}?`, metadata, { stream: i % 2 === 0 })),
  );
  return jobs.map(({ id }) => id);
}

async function recoveriesOf(ids: readonly string[]): Promise<number[]> {
  const jobs = await Promise.all(ids.map((id) => world.model().bullmq.getJob(id)));
  return jobs.map((job) => job?.stalledCounter ?? Number.NaN);
}

/** How often a worker has logged this message. */
const said = (child: WorkerChild, message: string): number =>
  child.said().split(`"msg":"${message}"`).length - 1;

/** Every job runs in its first attempt, and each was bought once. */
async function requireRunningOnce(ids: readonly string[]): Promise<void> {
  for (const id of ids) expect(await world.running(id)).toMatchObject({ attempt: 1, uncertain_purchases: 0 });
  expect(world.simulator.ledger.totals()).toMatchObject({
    ...{ purchases: ids.length, running: ids.length, cancels: 0 },
  });
}

/** Every job has been completed in its first attempt, and each was bought once. */
async function requireBoughtOnce(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const job = await world.finished(id, FACT_LIMIT_MS);
    expect(job).toMatchObject({ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 0 });
  }
  expect(world.simulator.ledger.totals()).toMatchObject({
    ...{ purchases: ids.length, completed: ids.length, cancels: 0 },
  });
}

/** The workers whose jobs were looked through because they were silent. */
async function silentWorkers(): Promise<string[]> {
  const fields = await world.client.hkeys(world.keys.workerDetails);
  return fields.filter((field) => field.startsWith('taken_from:'));
}

describe('the jobs of a worker that sends no heartbeats', () => {
  it(
    'are adopted by another worker when it was killed, long before their locks run out',
    async () => {
      await start();
      const killed = await addChild();
      const ids = await askMany(12, ENDLESS);
      await Promise.all(ids.map((id) => world.running(id)));
      const others = await Promise.all([addChild(), addChild()]);
      await killed.kill();
      const adopted = () => others.reduce((sum, other) => sum + said(other, 'adopted'), 0);
      await eventually(() => expect(adopted()).toBe(12), FACT_LIMIT_MS);
      expect(others.reduce((sum, other) => sum + said(other, RECOVERED), 0)).toBe(12);
      expect(await recoveriesOf(ids)).toEqual(ids.map(() => 1));
      await requireRunningOnce(ids);
      // It is forgotten, and so is its silence.
      await eventually(
        async () => expect(await world.client.zcard(world.keys.workers)).toBe(2),
        FACT_LIMIT_MS,
      );
      expect(await silentWorkers()).toEqual([]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'count a tenth of a recovery if their worker had heard of the response, so that ten deaths in a row end no job',
    async () => {
      await start();
      const first = await addChild();
      // A worker streams its first creates, until it knows that the upstream has a background mode.
      await world.finished((await world.ask('Ready?')).id, FACT_LIMIT_MS);
      const { id } = await world.ask('Who?', ENDLESS, { stream: false });
      const seenAt = () => world.client.hget(world.keys.run(id), 'seen_at');
      await eventually(async () => expect(await seenAt()).not.toBeNull(), FACT_LIMIT_MS);
      const seenByFirst = await seenAt();
      // As after ten recoveries that count.
      await world.client.hset(world.keys.job(id), 'stc', 10);
      const second = await addChild();
      await first.kill();
      await eventually(() => expect(said(second, 'adopted')).toBe(1), FACT_LIMIT_MS);
      await eventually(async () => expect(await seenAt()).not.toBe(seenByFirst), FACT_LIMIT_MS);
      expect(await world.running(id)).toMatchObject({ attempt: 1, purchases: 1 });

      // As if the job had killed the second worker before that worker heard of the response.
      await world.client.hset(world.keys.job(id), 'o3q.heard_at', String(await seenAt()));
      await addChild();
      await second.kill();
      expect(await world.finished(id, FACT_LIMIT_MS)).toMatchObject({
        status: 'failed',
        error: { code: 'stalled' },
      });
    },
    TEST_LIMIT_MS,
  );

  it(
    'are adopted when it was stopped; when it goes on it drops them, and cancels no response',
    async () => {
      await start();
      const stopped = await addChild();
      const ids = await askMany(8, ENDLESS);
      await Promise.all(ids.map((id) => world.running(id)));
      const other = await addChild();
      stopped.signal('SIGSTOP');
      await eventually(() => expect(said(other, 'adopted')).toBe(8), FACT_LIMIT_MS);
      stopped.signal('SIGCONT');
      await eventually(() => expect(said(stopped, 'lost to another worker')).toBe(8), FACT_LIMIT_MS);
      expect(await recoveriesOf(ids)).toEqual(ids.map(() => 1));
      expect(said(other, RECOVERED)).toBe(8);
      await requireRunningOnce(ids);
      expect(stopped.said()).not.toContain('"level":"error"');
    },
    TEST_LIMIT_MS,
  );

  it(
    'are lost by no crash: the worker that has just taken them is killed, and a third one adopts them',
    async () => {
      await start();
      const killed = await addChild();
      const ids = await askMany(6, ENDLESS);
      await Promise.all(ids.map((id) => world.running(id)));
      const second = await addChild({ diesOfTakeover: true });
      await killed.kill();
      await second.exited;
      const third = await addChild();
      await eventually(() => expect(said(third, 'adopted')).toBe(6), FACT_LIMIT_MS);
      expect(Math.max(...(await recoveriesOf(ids)))).toBeLessThanOrEqual(2);
      await requireRunningOnce(ids);
    },
    TEST_LIMIT_MS,
  );

  it(
    'stay with it while it is only stopped in the middle of a create, and it stores the id later',
    async () => {
      await start();
      const stopped = await addChild();
      world.gate.shut(CREATES);
      const [id = ''] = await askMany(1, { sim_think_ms: '100' });
      await world.gate.holding(1);
      const other = await addChild();
      stopped.signal('SIGSTOP');
      await eventually(async () => expect(await silentWorkers()).toHaveLength(1), FACT_LIMIT_MS);
      expect(await world.client.lrange(world.keys.queue('active'), 0, -1)).toEqual([id]);
      expect(said(other, RECOVERED)).toBe(0);
      world.gate.open();
      stopped.signal('SIGCONT');
      await requireBoughtOnce([id]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'are bought again at once when it was killed in the middle of a create, which counts as uncertain',
    async () => {
      await start();
      const killed = await addChild();
      world.gate.shut(CREATES);
      const [id = ''] = await askMany(1, { sim_think_ms: '100' });
      await world.gate.holding(1);
      const other = await addChild();
      await killed.kill();
      world.gate.open();
      expect(await world.finished(id, FACT_LIMIT_MS)).toMatchObject({
        ...{ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 1 },
      });
      expect(said(other, RECOVERED)).toBe(1);
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
    },
    TEST_LIMIT_MS,
  );

  it(
    'are left to their locks when their responses run in the foreground',
    async () => {
      await start({ models: { models: NO_BACKGROUND } });
      const killed = await addChild();
      const [id = ''] = await askMany(1, { sim_think_ms: '60000' });
      await world.running(id);
      const other = await addChild();
      await killed.kill();
      // The other worker has taken all that it may.
      await eventually(
        async () => expect(await world.client.zcard(world.keys.workers)).toBe(1),
        FACT_LIMIT_MS,
      );
      expect(await world.client.exists(world.keys.lock(id))).toBe(1);
      expect(said(other, RECOVERED)).toBe(0);
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
      // The lock runs out.
      await world.client.del(world.keys.lock(id));
      await eventually(() => expect(said(other, RECOVERED)).toBe(1), FACT_LIMIT_MS);
    },
    TEST_LIMIT_MS,
  );
});

describe('nothing is bought twice, and no job wanders from worker to worker,', () => {
  it.each([2000, 10_000])(
    'when the event loop of a worker stands still for %d ms',
    async (ms) => {
      await start();
      const blocked = await addUngatedChild();
      await addUngatedChild();
      const ids = await askMany(16, { sim_think_ms: '14000', sim_deltas: '5' });
      await Promise.all(ids.map((id) => world.running(id)));
      blocked.block(ms);
      await requireBoughtOnce(ids);
      expect(Math.max(...(await recoveriesOf(ids)))).toBeLessThanOrEqual(1);
    },
    TEST_LIMIT_MS,
  );

  it(
    'when Redis hangs for three seconds: no worker is taken for dead',
    async () => {
      await start();
      const workers = await Promise.all([addUngatedChild(), addUngatedChild(), addUngatedChild()]);
      const ids = await askMany(12, { sim_think_ms: '9000', sim_deltas: '5' });
      await Promise.all(ids.map((id) => world.running(id)));
      await world.redis.kill('SIGSTOP');
      await sleep(3000);
      await world.redis.kill('SIGCONT');
      await world.reconnected();
      await requireBoughtOnce(ids);
      expect(await recoveriesOf(ids)).toEqual(ids.map(() => 0));
      expect(workers.map((worker) => said(worker, RECOVERED))).toEqual([0, 0, 0]);
    },
    TEST_LIMIT_MS,
  );

  it(
    'on a machine under full load',
    async () => {
      await start();
      await addUngatedChild();
      await addUngatedChild();
      for (let i = 0; i < 4; i += 1) busyLoops.push(spawn(process.execPath, ['-e', 'for (;;);']));
      const ids = await askMany(24, { sim_think_ms: '8000', sim_deltas: '20' });
      await requireBoughtOnce(ids);
      expect(Math.max(...(await recoveriesOf(ids)))).toBeLessThanOrEqual(2);
    },
    TEST_LIMIT_MS,
  );
});
