import { Redis } from 'ioredis';
import type { ModelConfig } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
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
): Promise<{ count: number; rate: number }> {
  const calls = async (): Promise<number> => {
    const found = /cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'));
    return Number(found?.[1] ?? 0);
  };
  const [from, startedAt] = [await calls(), performance.now()];
  await work();
  // Time itself is what is measured here.
  await eventually(async () => expect(performance.now() - startedAt).toBeGreaterThan(2000));
  const count = (await calls()) - from;
  return { count, rate: count / ((performance.now() - startedAt) / 1000) };
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
    // Enqueueing itself takes two: a place in the line, and BullMQ's own.
    expect(busy.count - idle.count - 2 * enqueued).toBeLessThan(enqueued / 4);
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
