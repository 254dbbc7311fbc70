import { storeParkedJobs } from '../../support/redis/parked-jobs.ts';
import { BASE, type FairQueueWorld, keys, useFairQueueWorld } from '../../support/worlds/fair-queue-world.ts';

const world = useFairQueueWorld();

const add: FairQueueWorld['add'] = (...args) => world.add(...args);
const start = (count: number) => world.start(count);

describe('the order of the fair queue', () => {
  it('takes one job of each tenant after the other, whatever their backlogs', async () => {
    await add('a', 50);
    await start(10);
    await add('b', 5);
    expect((await start(10)).map((id) => id.charAt(0)).join('')).toMatch(/^(ab|ba){5}$/);
    expect(await start(2)).toEqual(['a15', 'a16']);
  });

  it.each([1, 2, 3, 0.5])('gives a tenant of weight %d that share of the starts', async (weight) => {
    world.weigh({ b: weight });
    await add('a', 100);
    await add('b', 100);
    const order = await start(60);
    for (let n = 1; n <= order.length; n += 1) {
      const ofB = order.slice(0, n).filter((id) => id.startsWith('b')).length;
      expect(Math.abs(ofB - (n * weight) / (weight + 1))).toBeLessThanOrEqual(1);
    }
  });

  it('lets no tenant that enqueues one job at a time starve a tenant that has many', async () => {
    await add('a', 50);
    const order: string[] = [];
    for (let i = 0; i < 10; i += 1) {
      await add('b', 1, { from: i });
      order.push(...(await start(2)));
    }
    expect(order.filter((id) => id.startsWith('a'))).toHaveLength(10);
  });

  it('lets a tenant wait for as long as others need for jobs of the same cost', async () => {
    await add('a', 3);
    await add('b', 20);
    const order: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      const [job] = (await world.fairQueue.next(1)).jobs;
      if (job === undefined) break;
      const cost = job.tenant === 'a' ? 0.01 : 0.002;
      await world.fairQueue.start([{ ...job, reservedModel: 'o3', cost }]);
      order.push(job.tenant);
    }
    expect(order.join('')).toMatch(/^(ab{5}|b{5}a|ba?b{4}){2}$/);
  });

  it('starts a job of a small tenant after at most one job of a greedy one: alone it would be the next', async () => {
    const costs: Record<string, number> = { a: 0.55, b: 0.003 };
    await add('a', 20);
    await start(1);
    const waits: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      await add('b', 1, { from: i });
      for (let starts = 1; ; starts += 1) {
        const [job] = (await world.fairQueue.next(1)).jobs;
        if (job === undefined) throw new Error('expected a job in the fair queue');
        await world.fairQueue.start([{ ...job, reservedModel: 'o3', cost: costs[job.tenant] }]);
        if (job.tenant === 'b') waits.push(starts);
        if (job.tenant === 'b') break;
      }
    }
    expect(Math.max(...waits)).toBeLessThanOrEqual(2);
    // The tenants get equal shares, so a hundred small jobs cost less than one greedy job.
    expect(waits.filter((starts) => starts > 1).length).toBeLessThanOrEqual(2);
  });

  it('names the first job of each tenant, so that small jobs can pass large ones', async () => {
    await add('a', 10);
    await add('b', 10);
    await start(1);
    await world.redis.hset(keys.fairQueue('clock'), 'cost:a', '0.000001');
    expect((await world.fairQueue.next(4)).jobs.map(({ id }) => id)).toContain('b0');
  });

  it('goes by priority within a tenant; a step is worth a minute, so that no job starves', async () => {
    await add('a', 1, { priority: 2 });
    await add('a', 1, { from: 1, at: BASE + 60_000 });
    await add('a', 1, { from: 2, at: BASE + 119_000, priority: 0 });
    await add('a', 1, { from: 3, at: BASE + 121_000, priority: 0 });
    expect(await start(4)).toEqual(['a1', 'a2', 'a0', 'a3']);
  });

  it('starts the jobs that next has returned, and next removes none of them', async () => {
    world.weigh({ b: 3 });
    await add('a', 20);
    await add('b', 20);
    await add('c', 2);
    const seen = await world.next(30);
    expect(await world.next(30)).toEqual(seen);
    expect(await start(30)).toEqual(seen);
  });
});

describe('a started job', () => {
  it('stands in BullMQ for any worker, with its reservation in the record', async () => {
    await add('a', 1);
    expect(await (await world.bullmq.getJob('a0'))?.getState()).toBe('delayed');
    await start(1);
    expect(await (await world.bullmq.getJob('a0'))?.getState()).toBe('waiting');
    expect(await world.redis.hget(keys.run('a0'), 'reserved_model')).toBe('o3');
    expect(await world.next(1)).toEqual([]);
    expect(await world.fairQueue.starts()).toBe(1);
  });

  it('is started once, however many dispatchers have seen it', async () => {
    await add('a', 3);
    const { jobs } = await world.fairQueue.next(3);
    const grants = jobs.map((job) => ({ ...job, reservedModel: 'o3' }));
    const answers = await Promise.all([
      world.fairQueue.start(grants),
      world.fairQueue.start(grants),
      world.fairQueue.start(grants),
    ]);
    expect(answers.flat().filter(Boolean)).toHaveLength(3);
    expect(await world.bullmq.getWaitingCount()).toBe(3);
  });

  it('does not start, and holds up no other, when it was cancelled or removed meanwhile', async () => {
    await add('a', 3);
    const { jobs } = await world.fairQueue.next(1);
    await world.bullmq.remove('a0');
    expect(await world.fairQueue.start(jobs.map((job) => ({ ...job, reservedModel: 'o3' })))).toEqual([
      false,
    ]);
    expect(await start(5)).toEqual(['a1', 'a2']);
  });
});

describe('a paused tenant', () => {
  it('waits while others start, until its time or a resume', async () => {
    await add('a', 5);
    await add('b', 3);
    await world.fairQueue.pauseTenant('a', Date.now() + 60_000, 'one of the 2 jobs to end');
    expect(await start(9)).toEqual(['b0', 'b1', 'b2']);
    expect(await world.fairQueue.resumeTenant('a')).toBe(true);
    expect(await world.fairQueue.resumeTenant('a')).toBe(false);
    expect(await start(1)).toEqual(['a0']);
    await world.fairQueue.pauseTenant('a', Date.now() - 1, 'over already');
    expect(await start(1)).toEqual(['a1']);
  });

  it('stays paused when it enqueues more', async () => {
    await add('a', 1);
    await world.fairQueue.pauseTenant('a', Date.now() + 60_000, 'why');
    await add('a', 1, { from: 1 });
    expect(await world.next(5)).toEqual([]);
  });
});

it('the entry of a job that a BullMQ client has removed is removed too', async () => {
  await add('a', 3);
  await world.bullmq.remove('a0');
  expect(await world.next(1)).toEqual(['a1']);
  expect(await world.redis.zrange(`${keys.fairQueue('tenant')}:a`, 0, '-1')).toEqual(['a1', 'a2']);
});

it('enqueueing a job again that BullMQ already has does not put it into the fair queue', async () => {
  await add('a', 1);
  await start(1);
  await storeParkedJobs(world.redis, keys, [
    { id: 'a0', tenant: 'a', createdAt: BASE, priority: 0, deadlineAt: undefined },
  ]);
  expect(await world.next(5)).toEqual([]);
  expect(await world.redis.exists(`${keys.fairQueue('tenant')}:a`)).toBe(0);
});

it('next says when the queue is paused', async () => {
  await add('a', 1);
  await world.bullmq.pause();
  expect(await world.fairQueue.next(1)).toMatchObject({ board: { room: 0, limits: { paused: true } } });
});
