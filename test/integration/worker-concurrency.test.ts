import { eventually } from '../support/eventually.ts';
import { quickModels } from '../support/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../support/worker-world.ts';

/** Two models that share the limit of one worker process. */
describe('a worker with two models', () => {
  let world: WorkerWorld;
  let watching: NodeJS.Timeout;
  let most = 0;

  const running = (): number => world.simulator.ledger.totals().running;
  const start = async (concurrency: number): Promise<void> => {
    const [o3] = Object.values(quickModels().models);
    if (o3 === undefined) throw new Error('expected a model');
    world = await startWorkerWorld({
      models: { models: { o3, other: { ...o3, upstream: 'gpt-5' } } },
      concurrency,
    });
    most = 0;
    watching = setInterval(() => {
      most = Math.max(most, running());
    }, 2);
  };
  afterEach(async () => {
    clearInterval(watching);
    await world.stop();
  });

  const askMany = (model: string, count: number, thinkMs: number): Promise<string[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const metadata = { sim_think_ms: String(thinkMs) };
        return (await world.ask(`${model} ${i}?`, metadata, { model })).id;
      }),
    );
  const runningOf = (upstream: string): number =>
    world.simulator.ledger
      .entries()
      .filter(({ model, state }) => model === upstream && (state === 'queued' || state === 'in_progress'))
      .length;

  it('lets a busy one use all of the limit while the other is idle', async () => {
    await start(10);
    const ids = await askMany('o3', 30, 400);
    await eventually(() => expect(running()).toBe(10));
    for (const id of ids) expect(await world.finished(id, 8000)).toMatchObject({ status: 'completed' });
    expect(most).toBe(10);
    expect(world.simulator.ledger.totals().purchases).toBe(30);
  });

  it('never holds more than the limit, and starves neither, when both are busy', async () => {
    await start(4);
    const ids = [...(await askMany('o3', 40, 60)), ...(await askMany('other', 40, 60))];
    for (const id of ids) {
      expect(await world.finished(id, 15_000)).toMatchObject({ status: 'completed', attempt: 1 });
    }
    expect(most).toBeGreaterThan(2);
    expect(most).toBeLessThanOrEqual(4);
    expect(world.simulator.ledger.totals().purchases).toBe(80);
  }, 30_000);

  it('gives each its even share once both want it', async () => {
    await start(6);
    await askMany('o3', 60, 250);
    await eventually(() => expect(runningOf('o3')).toBe(6));
    await askMany('other', 60, 250);
    await eventually(() => {
      expect([runningOf('o3'), runningOf('gpt-5')]).toEqual([3, 3]);
    }, 5000);
    expect(most).toBe(6);
  });

  it('takes turns with a limit of one', async () => {
    await start(1);
    const ids = [...(await askMany('o3', 6, 20)), ...(await askMany('other', 6, 20))];
    for (const id of ids) expect(await world.finished(id, 15_000)).toMatchObject({ status: 'completed' });
    expect(most).toBe(1);
    const models = world.simulator.ledger.entries().map(({ model }) => model);
    expect(models.slice(0, 6)).toContain('o3');
    expect(models.slice(0, 6)).toContain('gpt-5');
  }, 30_000);
});
