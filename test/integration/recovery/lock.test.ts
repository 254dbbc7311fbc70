import { eventually } from '../../support/eventually.ts';
import { CREATES } from '../../support/openai/upstream-gate.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import {
  QUICK_RECOVERY,
  startWorkerWorld,
  type WorkerWorld,
  type WorkerWorldOptions,
} from '../../support/worlds/worker-world.ts';

/** What happens to a job whose lock, or record, is not where its worker left it. */
/** Of what is about jobs; a worker asks for the list of models when it starts. */
const NOTHING = { purchases: 0, rejected: 0, polls: 0, cancels: 0 };

const { models } = quickModels();
const IN_THE_FOREGROUND = {
  models: Object.fromEntries(
    Object.entries(models).map(([name, model]) => [name, { ...model, background: 'never' as const }]),
  ),
};

describe('a job', () => {
  let world: WorkerWorld;
  const start = async (options: WorkerWorldOptions = {}): Promise<void> => {
    world = await startWorkerWorld({ recovery: QUICK_RECOVERY, ...options });
  };
  afterEach(() => world.stop());

  it.each([1, 2])('ends once, with one purchase, when its lock is lost under %d workers', async (workers) => {
    await start({ workers });
    const { id } = await world.ask('Locked?', { sim_think_ms: '2500', sim_deltas: '5' });
    const { upstream_id } = await world.running(id);
    expect(await world.client.del(world.keys.lock(id))).toBe(1);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, upstream_id });
    expect(await world.answer(id)).toContain('Locked?');
    expect(world.bought('Locked?')).toMatchObject([{ state: 'completed' }]);
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('completed'));
    expect((await world.model().bullmq.getJob(id))?.stalledCounter).toBeGreaterThanOrEqual(1);
  });

  it('is not bought again when its answer comes after BullMQ has taken it from a worker whose lock ran out', async () => {
    // One slot: the job waits for its next start until the first one has written the end. The locks are
    // renewed too seldom for the worker to notice the loss.
    await start({ workers: 1, concurrency: 1, recovery: { lockMs: 60_000, stalledMs: 100 } });
    const { id } = await world.ask('Answered late?', { sim_think_ms: '3000', sim_deltas: '5' });
    await world.running(id);
    expect(await world.client.del(world.keys.lock(id))).toBe(1);
    await eventually(async () => expect((await world.model().bullmq.getJob(id))?.stalledCounter).toBe(1));
    expect(world.simulator.ledger.totals()).toMatchObject({ completed: 0 });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('completed'));
    expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    expect(world.bought('Answered late?')).toMatchObject([{ state: 'completed' }]);
  });

  it('keeps its second lock when the same worker takes it again before it notices the loss', async () => {
    // It looks for stalled jobs five times as often as it renews its locks.
    await start({ recovery: { lockMs: 2000, stalledMs: 100 } });
    const { id } = await world.ask('Twice?', { sim_think_ms: '4500' });
    await world.running(id);
    await world.client.del(world.keys.lock(id));
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect((await world.model().bullmq.getJob(id))?.stalledCounter).toBe(1);
    expect(world.bought('Twice?')).toHaveLength(1);
  });

  it('is not overwritten by the worker that lost it', async () => {
    await start();
    const { id } = await world.ask('Whose?', { sim_think_ms: '60000' });
    await world.running(id);
    // As if another worker had taken it over.
    await world.client.set(world.keys.lock(id), 'another:0', 'PX', 60_000);
    await eventually(() => expect(world.logLines.join()).toContain('lost to another worker'));
    expect(await world.queue.get(id)).toMatchObject({ status: 'active' });
    expect(world.bought('Whose?')).toMatchObject([{ state: expect.stringMatching(/queued|in_progress/) }]);
    await world.client.del(world.keys.lock(id));
    await eventually(async () => expect(await world.client.get(world.keys.lock(id))).not.toBeNull());
    expect(await world.queue.get(id)).toMatchObject({ status: 'active', attempt: 1 });
    expect(world.bought('Whose?')).toHaveLength(1);
  });

  it('hands over what was bought without the lock: the worker that has the lock adopts it', async () => {
    await start({ workers: 1 });
    world.gate.shut(CREATES);
    const { id } = await world.ask('Mine?', { sim_think_ms: '2000' });
    await world.gate.holding(1);
    await world.client.set(world.keys.lock(id), 'another:0', 'PX', 60_000);
    world.gate.open();
    await eventually(async () =>
      expect(await world.client.hgetall(world.keys.run(id))).toMatchObject({
        upstream_id: expect.stringMatching(/^resp_/),
        purchases: '1',
      }),
    );
    await world.client.del(world.keys.lock(id));
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      purchases: 1,
      uncertain_purchases: 0,
    });
    expect(world.bought('Mine?')).toMatchObject([{ state: 'completed' }]);
  });

  it('waits for the worker that lost it during a create, and does not buy a second time', async () => {
    // The locks are renewed too seldom for the worker to notice the loss, and to take the job back.
    await start({
      workers: 2,
      patience: { graceMs: 3000 },
      recovery: { lockMs: 60_000, stalledMs: 100 },
    });
    world.gate.shut(CREATES);
    const { id } = await world.ask('Yours?', { sim_think_ms: '1500' });
    await world.gate.holding(1);
    expect(await world.client.del(world.keys.lock(id))).toBe(1);
    // Another start of the job has been begun, and has found the mark.
    await eventually(async () => expect((await world.model().bullmq.getJob(id))?.attemptsStarted).toBe(2));
    world.gate.open();
    expect(await world.finished(id)).toMatchObject({
      status: 'completed',
      purchases: 1,
      uncertain_purchases: 0,
    });
    expect(world.bought('Yours?')).toHaveLength(1);
  });

  it.each([1, 2])(
    'in the foreground is bought once when its lock is lost under %d workers',
    async (workers) => {
      await start({ workers, models: IN_THE_FOREGROUND });
      const { id } = await world.ask('Answered by one?', { sim_think_ms: '3000', sim_deltas: '5' });
      await world.running(id);
      // Its worker takes the job back, or BullMQ's check for stalled jobs gives it to a worker: whichever is
      // first.
      expect(await world.client.del(world.keys.lock(id))).toBe(1);
      expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
      expect(await world.answer(id)).toContain('Answered by one?');
      expect(world.bought('Answered by one?')).toMatchObject([{ state: 'completed' }]);
      await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('completed'));
    },
  );

  it('whose purchase the record has forgotten is not bought again: its worker writes it once more', async () => {
    await start({ workers: 1 });
    const { id } = await world.ask('Forgotten?', { sim_think_ms: '2500', sim_deltas: '5' });
    await world.running(id);
    await forget(id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', purchases: 1 });
    expect(world.bought('Forgotten?')).toMatchObject([{ state: 'completed' }]);
  });

  it('says so when it is bought again because the record had forgotten its purchase', async () => {
    await start({ workers: 1 });
    const { id } = await world.ask('Unknown?', { sim_think_ms: '2500', sim_deltas: '5' });
    await world.running(id);
    await world.client.hdel(world.keys.run(id), 'purchases');
    await world.client.hset(world.keys.run(id), 'upstream_id', 'resp_of_another_worker', 'purchases', '1');
    await world.client.set(world.keys.lock(id), 'another:0', 'PX', 60_000);
    await eventually(async () =>
      expect(await world.client.hgetall(world.keys.run(id))).toMatchObject({ uncertain_purchases: '1' }),
    );
  });

  it('stops a response whose id arrives after another was bought', async () => {
    await start({ workers: 1, patience: { graceMs: 100 } });
    world.gate.shut(CREATES);
    const { id } = await world.ask('Ours?', { sim_think_ms: '60000' });
    await world.gate.holding(1);
    await world.client.hset(world.keys.run(id), 'purchase_mark', 'another-purchase');
    world.gate.open();
    await eventually(() => expect(world.bought('Ours?')).toMatchObject([{ state: 'cancelled' }]));
    expect(await world.client.hgetall(world.keys.run(id))).not.toHaveProperty('upstream_id');
  });

  it('is bought anew when a person retries it in BullMQ, from its first attempt', async () => {
    await start();
    const { id } = await world.ask('Again?', { sim: '500', sim_times: '2' }, { max_attempts: 2 });
    expect(await world.finished(id)).toMatchObject({ status: 'failed', attempt: 2 });
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('failed'));
    // What Bull Board's button does.
    await (await world.model().bullmq.getJob(id))?.retry();
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 1, max_attempts: 2 }),
    );
    expect(world.bought('Again?')).toHaveLength(1);
  });

  it('has all its attempts again after a retry by hand', async () => {
    await start();
    const { id } = await world.ask('And again?', { sim: '500', sim_times: '3' }, { max_attempts: 2 });
    expect(await world.finished(id)).toMatchObject({ status: 'failed', attempt: 2 });
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('failed'));
    await (await world.model().bullmq.getJob(id))?.retry();
    await eventually(async () =>
      expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 2 }),
    );
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 3 });
  });

  it('buys nothing more when its worker died between its failure and telling BullMQ', async () => {
    await start({ workers: 0 });
    const { id } = await world.ask('Dead?', { sim: '400' });
    await dieAfterRecording(id, {
      status: 'failed',
      error: { code: 'invalid_request', message: 'no', retryable: false },
    });
    world.addWorker();
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('failed'));
    expect(await world.queue.get(id)).toMatchObject({ status: 'failed', error: { code: 'invalid_request' } });
    expect(world.simulator.ledger.totals()).toMatchObject(NOTHING);
  });

  it('keeps its result when its worker died between recording it and telling BullMQ', async () => {
    await start({ workers: 0 });
    const { id } = await world.ask('Done?');
    const summary = {
      usage: null,
      cost_usd: null,
      simulated: false,
      service_tier: null,
      answer_preview: 'Yes.',
      upstream_model: 'o3',
      incomplete_reason: null,
      refusal: null,
    };
    await dieAfterRecording(id, { status: 'completed', summary });
    world.addWorker();
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('completed'));
    expect(await world.queue.get(id)).toMatchObject({ status: 'completed', result: summary });
    expect(world.simulator.ledger.totals()).toMatchObject(NOTHING);
  });

  it('is not tried for ever, and is bought once, when an unexpected error repeats at its end', async () => {
    await start({ workers: 0 });
    const { id } = await world.ask('Possible?', {}, { max_attempts: 3 });
    await world.client.del(world.keys.index('live'));
    await world.client.set(world.keys.index('live'), 'no sorted set');
    world.addWorker();
    await eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe('failed'));
    expect((await world.model().bullmq.getJob(id))?.attemptsMade).toBe(3);
    expect(await world.queue.get(id)).toMatchObject({ status: 'failed', error: { code: 'internal_error' } });
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 0 });
  });

  /** Leaves the job as a failover does whose replica had not heard of its start. */
  async function forget(id: string): Promise<void> {
    await world.client
      .multi()
      .hdel(world.keys.run(id), 'upstream_id', 'purchases', 'background', 'holder', 'attempt', 'started_at')
      .del(world.keys.lock(id))
      .lrem(world.keys.queue('active'), 1, id)
      .rpush(world.keys.queue('wait'), id)
      .exec();
  }

  /** Leaves the job as a worker does that was killed right after its record had been finished. */
  async function dieAfterRecording(
    id: string,
    fields: { status: string; error?: object; summary?: object },
  ): Promise<void> {
    const { Worker } = await import('bullmq');
    const taker = new Worker(world.keys.queueName, null, {
      connection: world.client,
      prefix: 'o3q',
      lockDuration: 300,
    });
    await world.model().fairQueue.start([{ id, tenant: '', reservedModel: 'o3' }]);
    expect((await taker.getNextJob('dead:0'))?.id).toBe(id);
    const flat = Object.entries(fields).flatMap(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]);
    await world.client.hset(
      world.keys.run(id),
      ...flat,
      'attempt',
      1,
      'started_at',
      Date.now(),
      'stalled',
      0,
    );
    await taker.close(true);
  }
});
