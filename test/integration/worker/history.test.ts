import { readHistory, recordSample, SAMPLE_EVERY_MS } from '../../../src/overview/history.ts';
import { serverTime } from '../../../src/redis/server-time.ts';
import { utcDay } from '../../../src/usage/utc-day.ts';
import { eventually } from '../../support/eventually.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

describe('the samples of a model', () => {
  let world: WorkerWorld;
  beforeAll(async () => {
    world = await startWorkerWorld({ workers: 2 });
  });
  afterAll(() => world.stop());

  it('count once what has ended, and each time has one, however many workers write it', async () => {
    const [queue] = world.queue.queues;
    if (queue === undefined) throw new Error('a model was expected');
    const { client } = world;
    const samples = () => readHistory(client, queue, serverTime(client) - 86_400_000);
    // A worker writes one when it starts.
    await eventually(async () => expect((await samples()).length).toBeGreaterThan(0));

    const jobs = [
      await world.ask('Counted?'),
      await world.ask('Counted, too?'),
      await world.ask('And this?', { sim: 'failed', sim_code: 'invalid_prompt' }),
    ];
    for (const { id } of jobs) await world.finished(id);
    // BullMQ hears of an end a little later than its callers.
    const ended = (set: 'completed' | 'failed') => client.zcard(queue.keys.queue(set));
    await eventually(async () => expect([await ended('completed'), await ended('failed')]).toEqual([2, 1]));
    // The jobs have ended in the five minutes that are not over, or, at the turn of them, in those before.
    const now = serverTime(client);
    for (const at of [now, now + SAMPLE_EVERY_MS]) {
      await Promise.all([recordSample(client, queue, at), recordSample(client, queue, at)]);
    }
    const written = await samples();
    const sumOf = (field: 'completed' | 'failed') => written.reduce((sum, sample) => sum + sample[field], 0);
    expect({ completed: sumOf('completed'), failed: sumOf('failed') }).toEqual({ completed: 2, failed: 1 });
    expect(new Set(written.map(({ at }) => at)).size).toBe(written.length);

    // A later worker changes no sample, even when the jobs are gone.
    await client.del(queue.keys.queue('completed'));
    await recordSample(client, queue, now + SAMPLE_EVERY_MS);
    expect(await samples()).toEqual(written);
    expect(await client.ttl(queue.keys.history(utcDay(now)))).toBeGreaterThan(7 * 86_400);
  });
});
