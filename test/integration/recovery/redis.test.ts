import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

describe('a Redis that restarts under running jobs', () => {
  let redis: TestRedis;
  let world: WorkerWorld;
  beforeEach(async () => {
    redis = await startTestRedis({ appendOnly: true });
    world = await startWorkerWorld({ redis });
  });
  afterEach(async () => {
    await world.stop();
    await redis.stop();
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('costs the jobs nothing, stopped by %s', async (signal) => {
    const jobs = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        // Some end while it is away, some after it is back.
        world.ask(
          `Still there ${i}?`,
          { sim_think_ms: i % 2 === 0 ? '1500' : '4000' },
          { stream: i % 3 > 0 },
        ),
      ),
    );
    await Promise.all(jobs.map(({ id }) => world.purchased(id)));
    await redis.kill(signal);
    await redis.restart();
    await world.reconnected();
    for (const [i, { id }] of jobs.entries()) {
      expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
      expect(await world.answer(id)).toContain(`Still there ${i}?`);
    }
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 12, completed: 12 });
  });

  it('loses no response that ended while it was away', async () => {
    const { id } = await world.ask('Meanwhile?', { sim_think_ms: '2500' });
    await world.running(id);
    await redis.kill('SIGTERM');
    await eventually(() => expect(world.bought('Meanwhile?')).toMatchObject([{ state: 'completed' }]));
    await redis.restart();
    await world.reconnected();
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('Meanwhile?')).toHaveLength(1);
  });

  it('is waited for by a worker that starts first, and does not delay a worker that stops', async () => {
    const [first] = world.workers;
    if (first === undefined) throw new Error('expected a worker');
    await redis.kill('SIGTERM');
    const second = world.addWorker();
    expect(await world.stopWorker(first)).toBe(true);
    await redis.restart();
    await world.reconnected();
    const { id } = await world.ask('Anybody?');
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    await redis.kill('SIGTERM');
    await redis.restart();
    // Its connections may be anywhere between down and up.
    expect(await world.stopWorker(second)).toBe(true);
  });
});
