import { backlogOf } from '../../../src/fair-queue/backlog.ts';
import { storeParkedJobs } from '../../support/redis/parked-jobs.ts';
import { BASE, keys, useFairQueueWorld } from '../../support/worlds/fair-queue-world.ts';

const world = useFairQueueWorld();

const look = () => backlogOf(world.redis, keys);

it('the backlog of an empty queue is empty', async () => {
  expect(await look()).toMatchObject({
    ...{ inFairQueue: 0, due: 0, takeable: 0, held: 0, active: 0, oldestAt: undefined, next: [] },
    board: { room: Number.POSITIVE_INFINITY, kind: undefined },
  });
});

it('the backlog counts waiting, due and started jobs, and those of paused tenants, without a dispatcher', async () => {
  await world.add('alice', 3, { at: BASE + 1000 });
  await world.add('bob', 5, { priority: 9 });
  const later = { tenant: 'alice', createdAt: BASE, priority: 0, deadlineAt: undefined };
  await storeParkedJobs(world.redis, keys, [
    { ...later, id: 'due', dueAt: BASE + 500 },
    { ...later, id: 'not due', dueAt: Date.now() + 60_000 },
  ]);
  await world.bullmq.add('foreign', {}, { jobId: 'foreign' });
  await world.bullmq.add('foreign', {}, { jobId: 'urgent', priority: 1 });
  expect(await look()).toMatchObject({
    ...{ inFairQueue: 8, due: 1, takeable: 2, held: 0, active: 0, oldestAt: BASE + 500 },
  });
  expect((await look()).next).toHaveLength(2);

  await world.fairQueue.pauseTenant('bob', Date.now() + 60_000, 'no money');
  expect(await look()).toMatchObject({ inFairQueue: 8, held: 5 });
  // The pause is over, but no dispatcher has ended it.
  await world.fairQueue.pauseTenant('bob', Date.now() - 1, 'no money');
  expect(await look()).toMatchObject({ inFairQueue: 8, held: 0 });
});

it('the settings of Bull Board count for all waiting jobs, also for started ones', async () => {
  await world.add('alice', 5);
  await world.start(2);
  await world.bullmq.setGlobalConcurrency(3);
  expect(await look()).toMatchObject({
    ...{ inFairQueue: 3, takeable: 2, board: { room: 3, kind: 'concurrency' } },
  });
  await world.bullmq.pause();
  expect(await look()).toMatchObject({ board: { room: 0, kind: 'pause', limits: { paused: true } } });
});

it('the backlog of many jobs costs as many commands as that of a few', async () => {
  const commands = async (): Promise<number> => {
    await world.redis.config('RESETSTAT');
    await look();
    const stats = await world.redis.info('commandstats');
    return [...stats.matchAll(/calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
  };
  await world.add('alice', 10);
  const few = await commands();
  await world.add('alice', 3000, { from: 10 });
  expect(await commands()).toBe(few);
});
