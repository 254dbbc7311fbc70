import { Redis } from 'ioredis';
import type { ModelConfig } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { SCRIPTS } from '../../../src/lua/scripts.ts';
import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const SLOW = { sim_think_ms: '60000' };

let world: WorkerWorld;
let redis: Redis;
afterEach(async () => {
  redis.disconnect();
  await world.stop();
});

async function start(model: Partial<ModelConfig>, workers: number): Promise<void> {
  const { models } = quickModels();
  world = await startWorkerWorld({
    workers,
    models: {
      models: Object.fromEntries(
        Object.entries(models).map(([name, config]) => [name, { ...config, ...model }]),
      ),
      tenants: { alice: { weight: 1, maxInFlight: 1, dailyBudgetUsd: undefined, onBudgetExhausted: 'wait' } },
    },
  });
  redis = new Redis(world.redis.url);
}

const ask = async (tenant: string) =>
  (
    await world.queue
      .as({ tenant, admin: false })
      .enqueue(parseJobRequest({ question: 'How long?', metadata: SLOW }))
  ).job;

/** Scripts that Redis runs while `work` is done; counted over two seconds at least. */
async function scriptsPerSecond(
  work: () => Promise<unknown> = async () => {},
): Promise<{ count: number; seconds: number; rate: number }> {
  const calls = async (): Promise<number> => {
    const found = /cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'));
    return Number(found?.[1] ?? 0);
  };
  const [from, startedAt] = [await calls(), performance.now()];
  await work();
  // Time itself is what is measured here.
  await eventually(async () => expect(performance.now() - startedAt).toBeGreaterThan(2000));
  const count = (await calls()) - from;
  const seconds = (performance.now() - startedAt) / 1000;
  return { count, seconds, rate: count / seconds };
}

describe('dispatchers of a queue in which no job can start', () => {
  it('dispatchers ask a few times a second, also when the limits of a tenant and of the upstream are both used up', async () => {
    await start({ maxInFlight: 1 }, 2);
    await world.running((await ask('bob')).id);
    await ask('alice');
    await ask('alice');
    await eventually(async () =>
      expect((await world.queue.list({ status: 'waiting' })).jobs).toHaveLength(2),
    );
    expect((await scriptsPerSecond()).rate).toBeLessThan(60);
  });

  it('an enqueued job does not wake the dispatchers', async () => {
    await start({ maxInFlight: 1 }, 2);
    await world.running((await ask('bob')).id);
    await ask('bob');
    const idle = await scriptsPerSecond();
    const enqueued = 200;
    const busy = await scriptsPerSecond(async () => {
      for (let i = 0; i < enqueued; i += 1) await ask('bob');
    });
    const idleCount = idle.rate * busy.seconds;
    // Enqueueing itself takes two: a place in the line, and BullMQ's own.
    expect(busy.count - idleCount - 2 * enqueued).toBeLessThan(enqueued / 4);
  });
});

const DISPATCHER_SCRIPTS = ['fair-queue.dispatch', 'quota.reserve'];

/** Returns how often each script of dispatchers runs while `work` is done. */
async function dispatcherScripts(work: () => Promise<unknown>): Promise<Record<string, number>> {
  const names = new Map(SCRIPTS.map(({ sha, name }) => [sha, name]));
  const counts = Object.fromEntries(DISPATCHER_SCRIPTS.map((name) => [name, 0]));
  const watcher = new Redis(world.redis.url);
  const monitor = await watcher.monitor();
  monitor.on('monitor', (_time, [, sha = '']: string[]) => {
    const name = names.get(sha) ?? '';
    if (name in counts) counts[name] = (counts[name] ?? 0) + 1;
  });
  await work();
  monitor.disconnect();
  watcher.disconnect();
  return counts;
}

describe('what a dispatcher asks of Redis', () => {
  it('is a look, a decision and a start for a job that starts at once, and one look when no job follows', async () => {
    await start({}, 1);
    await world.running((await ask('bob')).id);
    const counts = await dispatcherScripts(async () => world.running((await ask('bob')).id));
    expect(counts).toMatchObject({ 'quota.reserve': 1 });
    expect(counts['fair-queue.dispatch']).toBeLessThanOrEqual(4);
  });

  it('is one decision for many jobs that wait', async () => {
    await start({}, 0);
    for (let i = 0; i < 40; i += 1) await ask('bob');
    const counts = await dispatcherScripts(async () => {
      world.addWorker();
      await eventually(async () =>
        expect((await world.queue.list({ status: 'waiting' })).jobs).toHaveLength(0),
      );
    });
    expect(counts['fair-queue.dispatch']).toBeLessThanOrEqual(12);
    expect(counts['quota.reserve']).toBeLessThanOrEqual(6);
  });
});

it('a job starts as soon as a worker has room for it', async () => {
  await start({}, 0);
  world.addWorker({ concurrency: 1 });
  const first = await ask('bob');
  await world.running(first.id);
  const second = await ask('bob');
  await eventually(async () =>
    expect(await world.queue.get(second.id)).toMatchObject({ waiting_for: 'a free worker' }),
  );
  await world.queue.cancel(first.id);
  await world.running(second.id);
});

it('a tenant with more long jobs than a worker has slots leaves some slots to other tenants', async () => {
  await start({}, 0);
  world.addWorker({ concurrency: 64 });
  const requests = Array.from({ length: 74 }, () => ({ question: 'How long?', metadata: SLOW }));
  const outcomes = await world.queue.as({ tenant: 'bob', admin: false }).enqueueBulk(requests);
  const last = outcomes.at(-1);
  const active = world.queue.queues.map(({ keys }) => keys.queue('active'));
  await eventually(async () => {
    const counts = await Promise.all(active.map((key) => redis.llen(key)));
    expect(Math.max(...counts)).toBeGreaterThanOrEqual(56);
    expect(last?.ok && (await world.queue.get(last.job.id))).toMatchObject({ waiting_for: 'a free worker' });
  });
  await world.running((await ask('carol')).id);
});
