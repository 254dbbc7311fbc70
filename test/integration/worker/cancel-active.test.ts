import { eventually } from '../../support/eventually.ts';
import { CANCELS, CREATES } from '../../support/openai/upstream-gate.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  QUICK_RECOVERY,
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

/** Long enough to be cancelled in the middle. */
const LONG = { sim_think_ms: '60000' };
/** Without a message, a worker would see a cancel only when it renews its locks: after half of this. */
const LONG_LOCKS = { lockMs: 240_000, stalledMs: 3000 };

describe('cancelling an active job', () => {
  let world: WorkerWorld;
  const start = async (options: WorkerWorldOptions = {}): Promise<void> => {
    world = await startWorkerWorld({ recovery: LONG_LOCKS, ...options });
  };
  afterEach(() => world.stop());
  const expectCancelledAtUpstream = (question: string) =>
    eventually(() => expect(world.bought(question)).toMatchObject([{ state: 'cancelled' }]));

  it.each([true, false])('stops the response at the upstream, stream: %s', async (stream) => {
    await start();
    await world.finished((await world.ask('Is there a background mode?')).id);
    const { id } = await world.ask('Stop?', LONG, { stream });
    await world.running(id);
    expect(await world.queue.cancel(id)).toMatchObject({ outcome: 'cancelling' });
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled', attempt: 1 });
    await expectCancelledAtUpstream('Stop?');
  });

  it('closes the connection of a foreground response', async () => {
    await start({ simulator: { background: 'rejected' } });
    const { id } = await world.ask('Hang up?', LONG);
    await world.running(id);
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
    await expectCancelledAtUpstream('Hang up?');
  });

  it('works when the message is lost, because the worker looks for marks when it renews locks', async () => {
    await start({ recovery: QUICK_RECOVERY });
    const { id } = await world.ask('Heard?', LONG);
    await world.running(id);
    await world.client.hset(world.keys.run(id), 'cancel_requested_at', Date.now());
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
    await expectCancelledAtUpstream('Heard?');
  });

  it('stops a response whose create had not been answered yet', async () => {
    await start();
    world.gate.shut(CREATES);
    const { id } = await world.ask('Bought?', LONG);
    await world.gate.holding(1);
    await world.queue.cancel(id);
    await eventually(async () => expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' }));
    expect(world.bought('Bought?')).toMatchObject([{ state: expect.stringMatching(/queued|in_progress/) }]);
    world.gate.open();
    await expectCancelledAtUpstream('Bought?');
  });

  it('does not wait for an upstream that never answers a create', async () => {
    await start({ patience: { graceMs: 100 } });
    const { id } = await world.ask('Anybody there?', { sim: 'hang' });
    await eventually(async () =>
      expect(await world.client.hexists(world.keys.run(id), 'purchase_mark')).toBe(1),
    );
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
  });

  it('does not wait for an upstream that never answers a cancel', async () => {
    await start();
    const { id } = await world.ask('Told?', LONG);
    await world.running(id);
    world.gate.shut(CANCELS);
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
    await world.gate.holding(1);
    world.gate.open();
  });

  it('stands when the response completes all the same', async () => {
    await start();
    const { id } = await world.ask('Too late?', { sim: 'late_completion', sim_think_ms: '2500' });
    await world.running(id);
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
    await eventually(() => expect(world.bought('Too late?')).toMatchObject([{ state: 'completed' }]));
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
    expect(await world.queue.cancel(id)).toMatchObject({ outcome: 'already' });
  });

  it('ends a job that waits for its next attempt', async () => {
    const backoff = { baseMs: 60_000, maxMs: 600_000 };
    const { models = {} } = quickModels();
    const slow = Object.entries(models).map(([name, model]) => [name, { ...model, backoff }]);
    await start({ models: { models: Object.fromEntries(slow) } });
    const { id } = await world.ask('Again?', { sim: '500' });
    await eventually(async () => expect(await world.queue.get(id)).toMatchObject({ status: 'delayed' }));
    expect(await world.queue.cancel(id)).toMatchObject({ outcome: 'cancelled' });
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
    expect(world.bought('Again?')).toEqual([]);
  });

  it('stops a response that a stopped worker has left running', async () => {
    await start();
    const { id } = await world.ask('Left behind?', LONG);
    await world.running(id);
    for (const worker of [...world.workers]) expect(await world.stopWorker(worker)).toBe(true);
    await world.queue.cancel(id);
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
    world.addWorker();
    await expectCancelledAtUpstream('Left behind?');
    expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
  });
});
