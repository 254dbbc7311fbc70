import { type Job, Worker } from 'bullmq';
import type { GiveBackTarget } from '../../../src/fair-queue/fair-queue.ts';
import { storePurchase } from '../../../src/lua/purchase.ts';
import { jobScriptKeys } from '../../../src/redis/keys.ts';
import { BASE, keys, useFairQueueWorld } from '../../support/worlds/fair-queue-world.ts';

const TOKEN = 'a worker';
const FAIR_QUEUE: GiveBackTarget = { kind: 'fair-queue' };

const world = useFairQueueWorld();

/** Takes the jobs that were started, in the order of their starts, and holds their locks. */
async function take(count: number): Promise<Job[]> {
  const connection = world.redis.duplicate({ maxRetriesPerRequest: null });
  const worker = new Worker(keys.queueName, null, { connection, prefix: 'o3q', lockDuration: 600_000 });
  const jobs: Job[] = [];
  for (let i = 0; i < count; i += 1) {
    const job = await worker.getNextJob(TOKEN, { block: false });
    if (job === undefined) throw new Error('expected a started job, found none');
    jobs.push(job);
  }
  await worker.close();
  connection.disconnect();
  return jobs;
}

async function giveBack(id: string, target: GiveBackTarget): Promise<void> {
  const job = { id, tenant: id.charAt(0), createdAt: BASE + Number(id.slice(1)), priority: 0 };
  expect(await world.fairQueue.giveBack({ ...job, deadlineAt: undefined }, TOKEN, target)).toBe('ok');
}

const tagOf = async (tenant: string): Promise<number> =>
  Number(await world.redis.hget(keys.fairQueue('clock'), `next:${tenant}`));

/** Returns the tenants of the next starts, one letter each. */
const order = async (count: number): Promise<string> =>
  (await world.start(count)).map((id) => id.charAt(0)).join('');

it('a job that is given back has its old position', async () => {
  await world.add('a', 3);
  await world.start(1);
  await take(1);
  await giveBack('a0', FAIR_QUEUE);
  expect(await world.start(3)).toEqual(['a0', 'a1', 'a2']);
});

it.each<GiveBackTarget>([
  FAIR_QUEUE,
  { kind: 'held', dueAt: Date.now() + 3_600_000, failedReason: 'busy' },
  { kind: 'delayed', dueAt: Date.now() + 3_600_000, failedReason: 'refused' },
])('a job that bought nothing and is given back ($kind) has cost its tenant nothing', async (target) => {
  await world.add('a', 5);
  await world.start(2, { cost: 0.25 });
  await take(2);
  expect(await tagOf('a')).toBe(0.5);
  await giveBack('a1', target);
  expect(await tagOf('a')).toBe(0.25);
  expect(await world.redis.hexists(keys.run('a1'), 'tag_step')).toBe(0);
});

it('a large job that is refused and given back starts again before small jobs have used as much', async () => {
  await world.add('a', 1);
  await world.start(1, { cost: 0.5 });
  await take(1);
  await world.add('b', 20);
  await world.start(2, { cost: 0.01 });
  await giveBack('a0', FAIR_QUEUE);
  // Without the refund, the job would wait for fifty small jobs.
  expect(await order(2)).toContain('a');
});

it('a refund gives a tenant no advantage over tenants that have waited meanwhile', async () => {
  await world.add('a', 1);
  await world.start(1);
  await take(1);
  await world.add('b', 20);
  await world.start(10);
  await giveBack('a0', FAIR_QUEUE);
  await world.add('a', 10, { from: 1 });
  // The tag of the first tenant is the virtual time, and that of the other is one job ahead.
  expect(await order(9)).toMatch(/^a(ab|ba){4}$/);
});

it('a refund respects the weight that the tenant had at the start', async () => {
  world.weigh({ a: 4 });
  await world.add('a', 2);
  await world.start(1, { cost: 0.5 });
  expect(await tagOf('a')).toBe(0.125);
  world.weigh({ a: 1 });
  await take(1);
  await giveBack('a0', FAIR_QUEUE);
  expect(await tagOf('a')).toBe(0);
});

it('a response that was bought stays paid when its job has another attempt', async () => {
  await world.add('a', 2);
  await world.start(1, { cost: 0.25 });
  await take(1);
  await world.redis.hset(keys.run('a0'), 'purchase_mark', 'a token', 'holder', TOKEN);
  await storePurchase.run(world.redis, {
    keys: { ...jobScriptKeys(keys, 'a0', 'a'), bought: keys.bought('resp_1') },
    args: { lockToken: TOKEN, fencingToken: 'a token', responseId: 'resp_1', tenant: '', boughtSeconds: 1 },
    rest: ['background', '1'],
  });
  await giveBack('a0', { kind: 'delayed', dueAt: BASE, failedReason: 'failed at the upstream' });
  expect(await tagOf('a')).toBe(0.25);
});

it('a create whose outcome is unknown stays paid when its job is given back', async () => {
  await world.add('a', 2);
  await world.start(1, { cost: 0.25 });
  await take(1);
  await world.redis.hset(keys.run('a0'), 'purchase_mark', 'a token');
  await giveBack('a0', { kind: 'delayed', dueAt: BASE, failedReason: 'a reset' });
  expect(await tagOf('a')).toBe(0.25);
});

it('a released job keeps its reservation, and its start stays paid', async () => {
  await world.add('a', 2);
  await world.start(1, { cost: 0.25 });
  await take(1);
  await giveBack('a0', { kind: 'first' });
  expect(await tagOf('a')).toBe(0.25);
  await take(1);
  // The next worker finds that the lease has ended.
  await giveBack('a0', FAIR_QUEUE);
  expect(await tagOf('a')).toBe(0);
});

it('started jobs that Bull Board holds back are refunded', async () => {
  await world.add('a', 3);
  await world.start(1, { cost: 0.25 });
  expect(await tagOf('a')).toBe(0.25);
  await world.bullmq.pause();
  await world.fairQueue.next(1);
  expect(await tagOf('a')).toBe(0);
  await world.bullmq.resume();
  expect(await world.start(3)).toEqual(['a0', 'a1', 'a2']);
});

it('a job pays again at each turn, however often it is given back', async () => {
  await world.add('a', 2);
  for (let turn = 0; turn < 5; turn += 1) {
    await world.start(1, { cost: 0.25 });
    expect(await tagOf('a')).toBe(0.25);
    await take(1);
    await giveBack('a0', FAIR_QUEUE);
    expect(await tagOf('a')).toBe(0);
  }
});
