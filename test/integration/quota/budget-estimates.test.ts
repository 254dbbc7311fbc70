import { parseJobRequest } from '../../../src/job/request.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** All that there is, also when midnight is in between. */
const RANGE = { to: daysBefore(utcDay(Date.now()), -1) };

describe('a budget', () => {
  let world: WorkerWorld;
  afterEach(() => world.stop());
  const ask = async (question: string, metadata: Record<string, string>) =>
    (await world.queue.as({ tenant: 'alice', admin: false }).enqueue(parseJobRequest({ question, metadata })))
      .job;

  it.each(['supported', 'rejected'] as const)(
    'counts what was cancelled in the middle of an answer, with background mode %s',
    async (background) => {
      const alice = {
        weight: 1,
        maxInFlight: undefined,
        dailyBudgetUsd: 0.02,
        onBudgetExhausted: 'wait',
      } as const;
      world = await startWorkerWorld({
        models: { ...quickModels(), tenants: { alice } },
        simulator: { background },
      });
      // Each is expected to cost about 0.008 dollars.
      for (const question of ['First?', 'Second?']) {
        const { id } = await ask(question, { sim_think_ms: '60000' });
        await world.running(id);
        await world.queue.cancel(id);
        expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
      }
      const { id } = await ask('Third?', {});
      await eventually(async () =>
        expect(await world.queue.get(id)).toMatchObject({
          status: 'waiting',
          waiting_for: expect.stringContaining('the daily budget of alice ($0.02) is used up'),
        }),
      );
      expect((await world.queue.usage(RANGE)).total).toMatchObject({
        ...{ requests: 2, estimated_requests: 2, unpriced_requests: 0 },
        cost_usd: expect.any(Number),
      });
    },
  );

  it.each([
    ['bought again', 'retry', { status: 'completed', purchases: 1 }, { requests: 2 }],
    ['left as it is', 'fail', { status: 'failed', purchases: 0 }, { requests: 1 }],
  ] as const)(
    'counts a create whose answer was lost, and which is %s',
    async (_what, onUncertain, job, usage) => {
      const { models, ...rest } = quickModels();
      const { o3 } = models;
      if (o3 === undefined) throw new Error('expected o3 among the models');
      world = await startWorkerWorld({ models: { ...rest, models: { o3: { ...o3, onUncertain } } } });
      const { id } = await ask('Lost?', { sim: 'reset_created', sim_times: '1' });
      expect(await world.finished(id)).toMatchObject({
        ...job,
        uncertain_purchases: 1,
        cost_usd: expect.any(Number),
        cost_estimated: true,
      });
      expect((await world.queue.usage(RANGE)).total).toMatchObject({
        ...usage,
        ...{ estimated_requests: 1, unpriced_requests: 0, estimated_usd: expect.any(Number) },
      });
    },
  );

  it('counts a create whose answer was lost, when its job is cancelled before the next attempt', async () => {
    const { models, ...rest } = quickModels();
    const { o3 } = models;
    if (o3 === undefined) throw new Error('expected o3 among the models');
    const backoff = { baseMs: 3_600_000, maxMs: 3_600_000 };
    world = await startWorkerWorld({ models: { ...rest, models: { o3: { ...o3, backoff } } } });
    const { id } = await ask('Lost?', { sim: 'reset_created', sim_times: '1' });
    await eventually(async () => expect(await world.queue.get(id)).toMatchObject({ status: 'delayed' }));
    await world.queue.cancel(id);
    expect(await world.queue.get(id)).toMatchObject({
      ...{ status: 'cancelled', uncertain_purchases: 1 },
      ...{ cost_usd: expect.any(Number), cost_estimated: true },
    });
    expect((await world.queue.usage(RANGE)).total).toMatchObject({ requests: 1, estimated_requests: 1 });
  });

  it('counts a create that hung when its job was cancelled', async () => {
    world = await startWorkerWorld();
    const { id } = await ask('Hung?', { sim: 'hang_created' });
    await eventually(() => expect(world.bought('Hung?')).toHaveLength(1));
    await world.queue.cancel(id);
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled', uncertain_purchases: 1 });
    // The job is cancelled at once; its create may still return its id for a moment.
    await eventually(async () =>
      expect((await world.queue.usage(RANGE)).total).toMatchObject({ requests: 1, estimated_requests: 1 }),
    );
  });

  it('counts what was streamed when that is more than what was reserved', async () => {
    world = await startWorkerWorld();
    // The answer is much longer than the 1,000 tokens that are expected of a first job.
    const stalling = {
      sim: 'stall',
      sim_output_tokens: '20000',
      sim_reasoning_tokens: '0',
      sim_deltas: '20',
      sim_events: '15',
    };
    const { id } = await ask('How long?', { ...stalling, sim_think_ms: '500' });
    const streamed = await eventually(async () => {
      const bytes = Number(await world.client.hget(world.keys.run(id), 'streamed_bytes'));
      expect(bytes).toBeGreaterThan(5000);
      return bytes;
    });
    await world.queue.cancel(id);
    await world.finished(id);
    await eventually(async () => {
      const { total } = await world.queue.usage(RANGE);
      expect(total.estimated_requests).toBe(1);
      expect(total.output_tokens).toBeGreaterThanOrEqual(streamed / 4);
    });
  });

  it('gets back what the upstream says was not used, by a look-up after the cancel', async () => {
    world = await startWorkerWorld();
    const { id } = await ask('Too late?', { sim: 'late_completion', sim_think_ms: '2000' });
    await world.running(id);
    await world.queue.cancel(id);
    await world.finished(id);
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled', cost_estimated: true }),
    );
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({
        usage: { output_tokens: expect.any(Number) },
        cost_estimated: false,
      }),
    );
    const [{ usage } = { usage: null }] = world.bought('Too late?');
    expect((await world.queue.usage(RANGE)).total).toMatchObject({
      ...{ requests: 1, input_tokens: usage?.input_tokens, output_tokens: usage?.output_tokens },
      estimated_requests: 0,
    });
  });
});
