import { indexesOf } from '../../../src/redis/keys.ts';
import { sweepRetention } from '../../../worker/maintenance/retention.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

describe('the retention sweep', () => {
  let world: WorkerWorld;
  beforeEach(async () => {
    world = await startWorkerWorld();
  });
  afterEach(() => world.stop());

  const settled = (id: string, state: string): Promise<void> =>
    eventually(async () => expect(await world.model().bullmq.getJobState(id)).toBe(state));
  /** Every key of this Redis that names a job. */
  const traces = async (id: string): Promise<string[]> => {
    const keys = await world.client.keys(`*${id}*`);
    const scores = await Promise.all(indexesOf(world.keys).map((index) => world.client.zscore(index, id)));
    return [...keys, ...indexesOf(world.keys).filter((_, i) => scores[i] !== null)];
  };

  it('removes every trace of expired jobs, and does not touch the others', async () => {
    const completed = await world.ask('Old?');
    const failed = await world.ask('Failed?', { sim: '400' });
    const cancelled = await world.ask('Cancelled?', {}, { delay_ms: 60_000 });
    await world.queue.cancel(cancelled.id);
    await world.finished(completed.id);
    await world.finished(failed.id);
    await settled(completed.id, 'completed');
    await settled(failed.id, 'failed');
    const waiting = await world.ask('Later?', {}, { delay_ms: 60_000 });
    const active = await world.ask('Now?', { sim_think_ms: '60000' });
    await world.running(active.id);

    const sweep = (completedHours: number, failedHours: number) =>
      sweepRetention(world.client, world.model(), { completedHours, failedHours });
    expect(await sweep(1, 1)).toBe(0);
    expect(await traces(completed.id)).toHaveLength(5);
    // A millisecond: all of them are older by now.
    const instant = 1 / 3_600_000;
    await eventually(async () => expect(await sweep(instant, 1)).toBe(1));
    expect(await traces(completed.id)).toEqual([]);
    expect(await world.queue.find(completed.id)).toBeNull();
    expect(await world.queue.get(failed.id)).toMatchObject({ status: 'failed' });
    expect(await sweep(1, instant)).toBe(2);
    expect([...(await traces(failed.id)), ...(await traces(cancelled.id))]).toEqual([]);
    expect(await world.queue.get(waiting.id)).toMatchObject({ status: 'delayed' });
    expect(await world.queue.get(active.id)).toMatchObject({ status: 'active' });
    expect((await world.queue.list()).jobs.map(({ id }) => id)).toEqual([active.id, waiting.id]);
  });
});
