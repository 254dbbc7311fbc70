import { createQuota, quotaJobId } from '../../../src/quota/quota.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import { rememberRedis } from '../../support/redis/set-back.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { QUICK_RECOVERY, startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/**
 * A failover promotes a replica that was cut off: the new master has the jobs as they were then, and the
 * workers hold jobs that have started since.
 */
let world: WorkerWorld;

beforeAll(async () => {
  const models = Object.values(quickModels().models).flatMap((model) => [
    ['o3', model],
    ['foreground', { ...model, background: 'never' }],
  ]);
  world = await startWorkerWorld({
    recovery: QUICK_RECOVERY,
    models: { models: Object.fromEntries(models) },
  });
});
afterEach(() => world.gate.open());
afterAll(() => world.stop());

/** Enqueues a question, and remembers Redis while its job waits. No dispatcher starts a job of the model until `resume`. */
async function waiting(question: string, model: string, thinkMs: number) {
  const { bullmq } = world.model(model);
  await bullmq.pause();
  const { id } = await world.ask(question, { sim_think_ms: String(thinkMs) }, { model });
  const setBack = await rememberRedis(world.client);
  await bullmq.resume();
  return { id, setBack, resume: () => bullmq.resume(), keys: keysOf('o3q', model) };
}

describe('a job that waits again after a failover, while a worker holds it', () => {
  it('in the background is adopted by the next worker', async () => {
    const { id, setBack, resume, keys } = await waiting('Adopted?', 'o3', 2000);
    const { upstream_id } = await world.running(id);
    await setBack();
    // What the worker writes every six seconds for the jobs that it holds.
    await createQuota(world.client, 'o3q', 'o3').renew([{ id: quotaJobId('o3', id), phase: 'running' }]);
    expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    await eventually(async () => expect(await world.client.lpos(keys.queue('wait'), id)).toBe(0));
    await resume();
    expect(await world.finished(id)).toMatchObject({ status: 'completed', purchases: 1, upstream_id });
    expect(world.bought('Adopted?')).toHaveLength(1);
  });

  it('in the foreground goes on where it is', async () => {
    const { id, setBack, resume } = await waiting('Kept?', 'foreground', 1500);
    await world.running(id);
    await setBack();
    await world.running(id);
    await resume();
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      purchases: 1,
      uncertain_purchases: 0,
    });
    expect(world.bought('Kept?')).toHaveLength(1);
  });

  it('with a create under way is bought once', async () => {
    world.gate.shut(CREATES);
    const { id, setBack, resume } = await waiting('Under way?', 'o3', 50);
    await world.gate.holding(1);
    await setBack();
    await eventually(async () => expect(await world.queue.get(id)).toMatchObject({ status: 'active' }));
    world.gate.open();
    await resume();
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      purchases: 1,
      uncertain_purchases: 0,
    });
    expect(world.bought('Under way?')).toHaveLength(1);
  });
});
