import { eventually } from '../../support/eventually.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

let world: WorkerWorld;
afterEach(() => world.stop());

const usedBytes = async (): Promise<number> =>
  Number(/^used_memory:(\d+)/m.exec(await world.client.info('memory'))?.[1]);

it('a Redis that is nearly full takes no new job, and running jobs complete', async () => {
  world = await startWorkerWorld({ simulator: { thinkMs: 3000 } });
  const { id } = await world.ask('First?');
  await world.running(id);
  // 95 % of it is used, and the rest is some megabytes, as on a real server.
  await world.client.setrange('ballast', 64_000_000, 'x');
  await world.client.config('SET', 'maxmemory', String(Math.round((await usedBytes()) / 0.95)));
  await eventually(() =>
    expect(world.ask('Second?')).rejects.toMatchObject({
      code: 'storage_full',
      message: expect.stringMatching(
        /^Redis has used \d+ MB of its \d+ MB of memory\. What is left is for jobs/,
      ),
      retryAfterMs: 10_000,
    }),
  );
  expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  await world.client.config('SET', 'maxmemory', String((await usedBytes()) * 2));
  const second = await eventually(() => world.ask('Second?'));
  expect(await world.finished(second.id)).toMatchObject({ status: 'completed' });
});
