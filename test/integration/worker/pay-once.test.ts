import type { ModelConfig, Models } from '../../../src/config/file.ts';
import type { CompletedJob } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

/** The one window in which a purchase can be lost: between a create that was sent and its id. */
describe('a create without an answer', () => {
  let world: WorkerWorld;
  const start = async (options: WorkerWorldOptions = {}): Promise<void> => {
    world = await startWorkerWorld(options);
  };
  afterEach(() => world.stop());

  it.each(['reset_created', 'hang_created'])('is bought again, and said to be uncertain: %s', async (sim) => {
    await start({ patience: { answerMs: 1500 } });
    const { id } = await world.ask('Twice?', { sim, sim_times: '1' });
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      attempt: 2,
      purchases: 1,
      uncertain_purchases: 1,
    });
    expect(world.bought('Twice?')).toHaveLength(2);
    expect(world.logLines.join()).toContain('uncertain purchase');
  });

  it('is not uncertain when the upstream refused it in its own words', async () => {
    await start();
    const { id } = await world.ask('Refused?', { sim: '500', sim_times: '2' });
    expect(await world.finished(id)).toMatchObject({ attempt: 3, purchases: 1, uncertain_purchases: 0 });
    expect(world.bought('Refused?')).toHaveLength(1);
  });

  it('fails the job when the configuration of the model says so', async () => {
    await start({ models: modelsWith({ onUncertain: 'fail' }) });
    const { id } = await world.ask('Careful?', { sim: 'reset_created', sim_times: '1' });
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      error: { code: 'purchase_uncertain', retryable: false },
      purchases: 0,
      uncertain_purchases: 1,
    });
    expect(world.bought('Careful?')).toHaveLength(1);
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('failed'));
    await world.queue.retry(id);
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({
        status: 'completed',
        purchases: 1,
        uncertain_purchases: 1,
      }),
    );
  });

  it('stays uncertain when it was the last attempt', async () => {
    await start();
    const { id } = await world.ask('Last?', { sim: 'reset_created' }, { max_attempts: 1 });
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      error: { code: 'connection_lost' },
      purchases: 0,
      uncertain_purchases: 1,
    });
  });
});

describe('an upstream that sends webhooks', () => {
  let world: WorkerWorld;
  afterEach(() => world.stop());

  it('makes a response whose id was lost known again: a worker recognizes it by the token of its create and adopts it', async () => {
    world = await startWorkerWorld({ webhooks: true });
    const metadata = { sim: 'reset_created', sim_times: '1', sim_think_ms: '2000', owner: 'anna' };
    const { id } = await world.ask('Lost and found?', metadata);
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      purchases: 1,
      uncertain_purchases: 0,
    });
    expect(world.bought('Lost and found?')).toHaveLength(1);
    // Nobody sees what was added to it.
    expect(await world.queue.result(id)).toMatchObject({ result: { response: { metadata } } });
  });

  it('makes a lost response known to the last attempt, too', async () => {
    world = await startWorkerWorld({ webhooks: true });
    const metadata = { sim: 'reset_created', sim_think_ms: '500' };
    const { id } = await world.ask('Last, and found?', metadata, { max_attempts: 1 });
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      attempt: 1,
      purchases: 1,
      uncertain_purchases: 0,
    });
  });

  it('is not asked to cancel at the deadline when the id is unknown, and the job says so', async () => {
    world = await startWorkerWorld({ webhooks: true });
    const deadline = new Date(Date.now() + 2000).toISOString();
    const metadata = { sim: 'reset_created', sim_think_ms: '20000' };
    const { id } = await world.ask('Where is it?', metadata, { deadline });
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      error: {
        code: 'deadline_passed',
        message: expect.stringContaining('a response may have been bought and may still run'),
      },
      uncertain_purchases: 1,
    });
    expect(world.logLines.join()).toContain('uncertain purchase');
  });

  it.each(['webhook_lost', 'webhook_forged'])(
    'is waited for no longer than uncertainWaitMs: %s',
    async (fault) => {
      world = await startWorkerWorld({ webhooks: true, models: modelsWith({ uncertainWaitMs: 500 }) });
      const { id } = await world.ask('Lost?', { sim: `reset_created, ${fault}`, sim_times: '1' });
      expect(await world.finished(id)).toMatchObject({
        status: 'completed',
        purchases: 1,
        uncertain_purchases: 1,
      });
      expect(world.bought('Lost?')).toHaveLength(2);
    },
  );

  it('wakes the worker that polls the response, in any process', async () => {
    world = await startWorkerWorld({ webhooks: true });
    await world.finished((await world.ask('Is there a background mode?')).id);
    const before = world.simulator.ledger.totals().polls;
    // Polled every five seconds by its end, were it not for the webhook.
    const { id } = await world.ask('Awake?', { sim_think_ms: '9000' }, { stream: false });
    await world.finished(id);
    const [{ created_at: createdAt = 0 } = {}] = world.bought('Awake?');
    const { finished_at: finishedAt } = (await world.queue.get(id)) as CompletedJob;
    expect(Date.parse(finishedAt) - createdAt - 9000).toBeLessThan(500);
    expect(world.simulator.ledger.totals().polls - before).toBeLessThan(15);
  });

  it('gets no token when the metadata of the caller has no room for it', async () => {
    world = await startWorkerWorld({ webhooks: true });
    const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`key-${i}`, 'value']));
    const { id } = await world.ask('Full?', metadata);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
    expect(world.bought('Full?')).toMatchObject([{ metadata }]);
  });
});

describe('the deadline and the timeout of a job', () => {
  let world: WorkerWorld;
  afterEach(() => world.stop());

  it('ends at its deadline, and the upstream with it', async () => {
    world = await startWorkerWorld();
    const deadline = new Date(Date.now() + 2500).toISOString();
    const { id } = await world.ask('In time?', { sim_think_ms: '60000' }, { deadline });
    expect(await world.finished(id)).toMatchObject({ status: 'failed', error: { code: 'deadline_passed' } });
    await eventually(() => expect(world.bought('In time?')).toMatchObject([{ state: 'cancelled' }]));
  });

  it('prevent a purchase when the job has waited until its deadline', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const deadlineAt = Date.now() + 1500;
    const { id } = await world.ask('Too late?', {}, { deadline: new Date(deadlineAt).toISOString() });
    await eventually(() => expect(Date.now()).toBeGreaterThan(deadlineAt));
    world.addWorker();
    expect(await world.finished(id)).toMatchObject({ status: 'failed', error: { code: 'deadline_passed' } });
    expect(world.bought('Too late?')).toEqual([]);
  });

  it('refuse a deadline that has passed, or that is before the end of the delay', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const in10s = new Date(Date.now() + 10_000).toISOString();
    await expect(world.ask('?', {}, { deadline: '2020-01-01T00:00:00Z' })).rejects.toMatchObject({
      code: 'invalid_request',
      flaws: [{ path: 'deadline', message: expect.stringContaining('expected a time in the future') }],
    });
    await expect(world.ask('?', {}, { deadline: in10s, delay_ms: 20_000 })).rejects.toMatchObject({
      flaws: [{ path: 'deadline', message: expect.stringContaining('after delay_ms') }],
    });
    await expect(world.ask('?', {}, { deadline: 'tomorrow' })).rejects.toMatchObject({
      flaws: [{ path: 'deadline', message: expect.stringContaining('ISO 8601') }],
    });
  });

  it('are not cut short while the upstream sends no event but says that it still thinks', async () => {
    world = await startWorkerWorld({
      models: modelsWith({ stallMs: 1000 }),
      patience: { silenceMs: 100 },
    });
    const { id } = await world.ask('Hm?', { sim: 'stall', sim_events: '3' }, { timeout_ms: 3000 });
    // Three times the stall time without an event: only its own limit ends it.
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      attempt: 1,
      error: { code: 'timeout' },
    });
    await eventually(() => expect(world.bought('Hm?')).toMatchObject([{ state: 'cancelled' }]));
  });

  it('continues after the upstream gave no sign of life: its response is looked up, not bought again', async () => {
    world = await startWorkerWorld({ models: modelsWith({ stallMs: 1000 }), patience: { answerMs: 1000 } });
    // Streamed in any case: whether there is a background mode is not known before the first.
    await world.finished((await world.ask('Is there a background mode?')).id);
    world.gate.shut(({ method }) => method === 'GET');
    const { id } = await world.ask('There?', {}, { stream: false });
    await eventually(() => expect(world.logLines.join()).toContain('upstream_silent'));
    world.gate.open();
    expect(await world.finished(id)).toMatchObject({ status: 'completed', purchases: 1 });
    expect(world.bought('There?')).toHaveLength(1);
  });
});

function modelsWith(policy: Partial<ModelConfig>): Partial<Models> {
  const { models } = quickModels();
  const o3 = models['o3'];
  if (o3 === undefined) throw new Error('expected o3');
  return { models: { o3: { ...o3, ...policy } } };
}
