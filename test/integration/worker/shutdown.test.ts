import { eventually } from '../../support/eventually.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import { startTestRedis } from '../../support/redis/redis-server.ts';
import {
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

describe('stopping a worker', () => {
  let world: WorkerWorld;
  const start = async (options: WorkerWorldOptions = {}): Promise<void> => {
    world = await startWorkerWorld(options);
  };
  const ends: (() => Promise<void>)[] = [];
  const onTestEnd = (end: () => Promise<void>): void => void ends.push(end);
  afterEach(async () => {
    await world.stop();
    for (const end of ends.splice(0)) await end();
  });

  const stopFirstWorker = async (deadlineMs?: number): Promise<boolean> => {
    const [first] = world.workers;
    if (first === undefined) throw new Error('expected a worker to stop');
    return world.stopWorker(first, deadlineMs);
  };

  it.each([true, false])(
    'gives background jobs back at once; the next one adopts their responses, stream: %s',
    async (stream) => {
      await start();
      const questions = Array.from({ length: 20 }, (_, i) => `Adopted ${i}?`);
      const thinking = { sim_think_ms: '8000', sim_deltas: '10' };
      const jobs = await Promise.all(questions.map((question) => world.ask(question, thinking, { stream })));
      const running = await Promise.all(jobs.map(({ id }) => world.running(id)));
      expect(await stopFirstWorker()).toBe(true);
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 20, running: 20, cancels: 0 });
      world.addWorker();
      for (const [i, { id }] of jobs.entries()) {
        expect(await world.finished(id)).toMatchObject({
          status: 'completed',
          attempt: 1,
          upstream_id: running[i]?.upstream_id,
        });
        expect(await world.answer(id)).toContain(questions[i]);
      }
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 20, completed: 20 });
    },
  );

  it('hands jobs over to a worker that is already there', async () => {
    await start();
    const { id } = await world.ask('Who goes on?', { sim_think_ms: '3000' });
    const { upstream_id } = await world.running(id);
    world.addWorker();
    expect(await stopFirstWorker()).toBe(true);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, upstream_id });
    expect(world.bought('Who goes on?')).toHaveLength(1);
  });

  it('ends a job whose cancel it has not heard of, rather than give it back', async () => {
    await start();
    const { id } = await world.ask('Stop?', { sim_think_ms: '60000' });
    await world.running(id);
    // The mark alone, as if the message had been lost.
    await world.client.hset(world.keys.run(id), 'cancel_requested_at', Date.now());
    expect(await stopFirstWorker()).toBe(true);
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
    expect(world.bought('Stop?')).toMatchObject([{ state: 'cancelled' }]);
  });

  it('lets a foreground job end when it ends before the deadline', async () => {
    await start({ simulator: { background: 'rejected' } });
    const { id } = await world.ask('In time?', { sim_think_ms: '2000' });
    await world.running(id);
    expect(await stopFirstWorker()).toBe(true);
    expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('In time?')).toHaveLength(1);
  });

  it('gives a foreground job back, uncharged, at the deadline', async () => {
    await start({ simulator: { background: 'rejected' } });
    const { id } = await world.ask('Too long?', { sim_think_ms: '60000' }, { max_attempts: 1 });
    await world.running(id);
    expect(await stopFirstWorker(1000)).toBe(true);
    expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    await eventually(() => expect(world.bought('Too long?')).toMatchObject([{ state: 'cancelled' }]));
    world.addWorker();
    expect(await world.running(id)).toMatchObject({ attempt: 1, max_attempts: 1 });
    await world.queue.cancel(id);
    await world.finished(id);
  });

  it('stores the ids of responses that are just being bought, and buys nothing more', async () => {
    await start({ workers: 0, concurrency: 10 });
    world.gate.shut(CREATES);
    const jobs = await Promise.all(
      Array.from({ length: 30 }, (_, i) => world.ask(`On its way ${i}?`, { sim_think_ms: '4000' })),
    );
    world.addWorker();
    // So many creates are under way at once; two more jobs wait for their turn.
    await world.gate.holding(8);
    const stopping = stopFirstWorker();
    world.gate.open();
    expect(await stopping).toBe(true);
    for (const { id } of jobs) expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 8, running: 8 });
    world.addWorker({ concurrency: 100 });
    for (const { id } of jobs) {
      expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 30, completed: 30 });
  });

  it.each(['SIGKILL', 'SIGSTOP'] as const)(
    'leaves before its jobs end when its Redis is gone, by %s; its jobs are adopted when Redis is back',
    async (signal) => {
      const redis = await startTestRedis({ appendOnly: true });
      onTestEnd(() => redis.stop());
      await start({ redis });
      const thinking = { sim_think_ms: '4000', sim_deltas: '10' };
      const jobs = await Promise.all([0, 1, 2].map((i) => world.ask(`Without Redis ${i}?`, thinking)));
      await Promise.all(jobs.map(({ id }) => world.running(id)));
      await redis.kill(signal);
      expect(await stopFirstWorker()).toBe(true);
      expect(world.simulator.ledger.totals()).toMatchObject({ running: 3 });
      expect(world.logLines.filter((line) => line.includes('Redis does not answer'))).toHaveLength(1);
      if (signal === 'SIGKILL') await redis.restart();
      else await redis.kill('SIGCONT');
      await world.reconnected();
      world.addWorker();
      for (const { id } of jobs) {
        expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
      }
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 3, completed: 3, cancels: 0 });
    },
  );

  it('waits for Redis with a foreground answer, which no other worker could fetch', async () => {
    const redis = await startTestRedis({ appendOnly: true });
    onTestEnd(() => redis.stop());
    await start({
      redis,
      simulator: { background: 'rejected' },
      recovery: { lockMs: 15_000, stalledMs: 5000 },
    });
    const { id } = await world.ask('Worth the wait?', { sim_think_ms: '1500' });
    await world.running(id);
    await redis.kill('SIGKILL');
    const stopping = stopFirstWorker(10_000);
    await eventually(() => expect(world.bought('Worth the wait?')).toMatchObject([{ state: 'completed' }]));
    await redis.restart();
    expect(await stopping).toBe(true);
    await world.reconnected();
    expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('Worth the wait?')).toHaveLength(1);
  });

  it('leaves no job behind when it is idle', async () => {
    await start();
    await world.finished((await world.ask('Done?')).id);
    expect(await stopFirstWorker()).toBe(true);
  });
});
