import { describeWithPromtool } from '../../support/process/promtool.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

let world: WorkerWorld;
beforeAll(async () => {
  world = await startWorkerWorld();
});
afterAll(() => world.stop());

const scrape = async (): Promise<string> => (await world.workers[0]?.metrics.text()) ?? '';

describeWithPromtool('promtool check metrics', (promtool) => {
  it('finds nothing wrong with the scrape of a worker', async () => {
    expect(promtool(['check', 'metrics'], await scrape())).toEqual({ code: 0, output: '' });
  });
});
