import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

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

  it('gives each an even share of the limit, and never holds more', async () => {
    await start(4);
    // Long enough that both models have jobs in flight together, however slow the machine is.
    const ids = (await Promise.all([askMany('o3', 6, 1500), askMany('other', 6, 1500)])).flat();
    await eventually(() => expect([runningOf('o3'), runningOf('gpt-5')]).toEqual([2, 2]));
    for (const id of ids) {
      expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    }
    expect(most).toBe(4);
    expect(world.simulator.ledger.totals().purchases).toBe(12);
  });

  it('takes one of each when the limit is smaller than the number of models', async () => {
    await start(1);
    const ids = [...(await askMany('o3', 3, 20)), ...(await askMany('other', 3, 20))];
    for (const id of ids) expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    expect(most).toBeLessThanOrEqual(2);
  });
});
