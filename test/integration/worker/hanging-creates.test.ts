import { parseJobRequest } from '../../../src/job/request.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** The create is not answered within the minute for which the worker waits. */
const HANGING = { sim: 'hang' };
/** More than may be under way, and than may wait for it. */
const MANY = 100;

let world: WorkerWorld;
afterEach(() => world.stop());

async function ask(model: string, tenant: string, metadata: Record<string, string>): Promise<string> {
  const request = parseJobRequest({ question: `Who asks ${model}?`, model, metadata });
  return (await world.queue.as({ tenant, admin: false }).enqueue(request)).job.id;
}

it('the jobs of a model start at once while all creates of another model hang', async () => {
  const { models, ...rest } = quickModels();
  const { o3 } = models;
  if (o3 === undefined) throw new Error('expected o3');
  world = await startWorkerWorld({
    models: { ...rest, models: { o3, 'gpt-5': { ...o3, upstream: 'gpt-5' } } },
    gated: false,
  });
  for (let i = 0; i < MANY; i += 1) await ask('o3', '', HANGING);
  for (let i = 0; i < 10; i += 1)
    expect(await world.finished(await ask('gpt-5', '', {}))).toMatchObject({ status: 'completed' });
});

it('the jobs of a tenant start at once while all creates of two other tenants of the model hang', async () => {
  // Short locks would run out on a busy machine, and jobs that are taken again pass no dispatcher.
  world = await startWorkerWorld({ gated: false, recovery: { lockMs: 12_000, stalledMs: 3000 } });
  for (let i = 0; i < MANY; i += 1)
    await Promise.all(['alice', 'bob'].map((name) => ask('o3', name, HANGING)));
  for (let i = 0; i < 10; i += 1)
    expect(await world.finished(await ask('o3', 'carol', {}))).toMatchObject({ status: 'completed' });
});
