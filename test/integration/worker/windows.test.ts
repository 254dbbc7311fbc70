import type { JobEvent } from '../../../src/job/event.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import type { O3Worker } from '../../../worker/worker.ts';
import { eventually } from '../../support/eventually.ts';
import { CANCELS } from '../../support/openai/upstream-gate.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

/** Completion windows: what the caller asks for, and what the dispatcher chooses. */
describe('a worker whose upstream has completion windows', () => {
  let world: WorkerWorld;
  beforeAll(async () => {
    world = await startWorkerWorld({ simulator: { windowModels: ['o3'] }, webhooks: true });
  });
  afterAll(() => world.stop());

  const asks = async (input: string, more: object = {}, options: object = {}): Promise<string> => {
    const request = { input, metadata: { sim: 'window_early' }, ...more };
    return (await world.queue.enqueue(parseJobRequest({ request, ...options }))).job.id;
  };
  const recordOf = (id: string): Promise<Record<string, string>> => world.client.hgetall(world.keys.run(id));

  it('buys within the window that a request names, without a stream, even as its first create', async () => {
    const id = await asks('Can wait', { background_options: { completion_window: '8h' } }, { stream: true });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 0 });
    expect(world.bought('Can wait')).toMatchObject([
      {
        ...{ mode: 'background', completion_window: '8h' },
        fields: expect.arrayContaining(['store', 'service_tier']),
      },
    ]);
    expect(await recordOf(id)).toMatchObject({ completion_window: '8h' });
  });

  it('tells a caller that streams the status, and then the whole answer', async () => {
    const id = await asks('Streamed', { background_options: { completion_window: '2h' } }, { stream: true });
    const told: JobEvent[] = [];
    const caller = new O3Queue({ redisUrl: world.redis.url, ...world.models });
    for await (const event of caller.events(id)) told.push(event);
    await caller.close();
    expect(told.at(0)).toMatchObject({ type: 'status' });
    expect(told.at(-1)).toMatchObject({ type: 'done', data: { status: 'completed' } });
    const text = told.flatMap((each) => (each.type === 'delta' ? [each.data.text] : [])).join('');
    expect(text).toBe(await world.answer(id));
  });

  it('fails the job with the words of an upstream that refuses its window', async () => {
    const id = await asks('Refused', {
      metadata: { sim: 'window_refused' },
      background_options: { completion_window: '8h' },
    });
    expect(await world.finished(id)).toMatchObject({
      status: 'failed',
      error: {
        code: 'invalid_request',
        message: expect.stringContaining("Unknown parameter: 'background_options'"),
      },
    });
    expect(world.bought('Refused')).toEqual([]);
  });

  const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();

  it('buys a job that is needed in twelve hours within eight', async () => {
    const id = await asks('Needed tomorrow', {}, { needed_by: inHours(12) });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('Needed tomorrow')).toMatchObject([{ completion_window: '8h', mode: 'background' }]);
  });

  it('drops a window that the queue chose and the upstream refuses, uncharged, and remembers that', async () => {
    const refused = { metadata: { sim: 'window_refused' } };
    const { rejected } = world.simulator.ledger.totals();
    const id = await asks('Refused by the model', refused, { needed_by: inHours(12), max_attempts: 1 });
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    expect(world.bought('Refused by the model')).toMatchObject([{ completion_window: 'soonest' }]);
    expect(await recordOf(id)).toMatchObject({ completion_window: 'soonest' });
    const next = await asks('The next one', {}, { needed_by: inHours(12) });
    expect(await world.finished(next)).toMatchObject({ status: 'completed', attempt: 1 });
    expect(world.bought('The next one')).toMatchObject([{ completion_window: 'soonest' }]);
    expect(world.simulator.ledger.totals().rejected).toBe(rejected + 1);
    await world.queue.resume('o3');
  });

  describe('when the answer is late', () => {
    const endless = { metadata: { sim_think_ms: '600000' } };
    const hourAgo = Date.now() - 3_600_000;

    /** Moves `needed_by` of a job into the past: the next worker that has the job finds it late. */
    const makeLate = async (id: string): Promise<void> => {
      const key = world.keys.job(id);
      const [data, opts] = await world.client.hmget(key, 'data', 'opts');
      const past = { needed_by: new Date(hourAgo).toISOString() };
      const stored = JSON.parse(opts ?? '{}');
      await world.client.hset(key, {
        data: JSON.stringify({ ...JSON.parse(data ?? '{}'), ...past }),
        opts: JSON.stringify({ ...stored, need: { ...stored.need, by: hourAgo } }),
      });
    };
    const ledgerOf = (input: string) =>
      world
        .bought(input)
        .map(({ completion_window: window, state }) => [
          window,
          state === 'queued' || state === 'in_progress' ? 'running' : state,
        ]);

    it('cancels the response and buys another one, once, and only where the job asks for that', async () => {
      const times = { needed_by: inHours(12), max_attempts: 1 };
      const buysAgain = { ...times, on_late: 'buy_again' };
      const late = await asks('Late', endless, buysAgain);
      const stopped = await asks('Late, and stopped by a worker that died', endless, buysAgain);
      const patient = await asks('Late and patient', endless, times);
      const ids = [late, stopped, patient];
      await Promise.all(ids.map((id) => world.running(id)));
      const { upstream_id } = await world.purchased(stopped);
      await world.stopWorker(world.workers[0] as O3Worker);
      await Promise.all(ids.map(makeLate));
      const cancel = await fetch(`${world.upstreamUrl}/responses/${upstream_id}/cancel`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk-test' },
      });
      expect(cancel.status).toBe(200);
      await world.addWorker().alive;
      const again = [
        ['8h', 'cancelled'],
        ['soonest', 'running'],
      ];
      await eventually(() => {
        expect(ledgerOf('Late')).toEqual(again);
        expect(ledgerOf('Late, and stopped by a worker that died')).toEqual(again);
      });
      await eventually(async () =>
        expect(await world.queue.get(late)).toMatchObject({
          ...{ status: 'active', attempt: 1, purchases: 2, completion_window: 'soonest' },
        }),
      );
      expect(ledgerOf('Late and patient')).toEqual([['8h', 'running']]);
      for (const id of ids) await world.queue.cancel(id);
      for (const id of ids) expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
      // One for each response that the workers have stopped.
      expect(world.gate.calls.filter(CANCELS)).toHaveLength(4);
    });
  });

  it('answers other jobs while it holds as many within a window as it may hold jobs', async () => {
    await world.stopWorker(world.workers[0] as O3Worker);
    await world.addWorker({ concurrency: 1 }).alive;
    const endless = { metadata: { sim_think_ms: '600000' } };
    const id = await asks('Waits for hours', endless, { needed_by: inHours(12) });
    await world.running(id);
    const second = await asks('Has no place', endless, { needed_by: inHours(12) });
    // More than one look reads.
    const more = { request: { input: 'Has no place, too' }, needed_by: inHours(12) };
    const behind = await world.queue.enqueueBulk(Array.from({ length: 600 }, () => more));
    const quick = await asks('At once');
    expect(await world.finished(quick)).toMatchObject({ status: 'completed' });
    expect(await world.queue.get(second)).toMatchObject({
      status: 'waiting',
      waiting_for: 'a free worker',
    });
    const waiting = behind.flatMap((outcome) => (outcome.ok ? [outcome.job.id] : []));
    expect(waiting).toHaveLength(600);
    await Promise.all([id, second, ...waiting].map((each) => world.queue.cancel(each)));
    expect(await world.finished(id)).toMatchObject({ status: 'cancelled' });
  });
});
