import type { Job } from 'bullmq';
import { type JobData, parseJobRequest } from '../../../src/job/request.ts';
import { type Bought, LockLostError, type RunRecordWriter } from '../../../src/run/writer.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { openRecordWorld, type RecordWorld } from '../../support/worlds/record-world.ts';

/** Tests who may write what of a purchase in each of its states. */

let server: TestRedis;
let world: RecordWorld;
let redis: RecordWorld['redis'];
let queue: RecordWorld['queue'];
let o3: RecordWorld['o3'];
let worker: RecordWorld['worker'];
let recordOf: RecordWorld['recordOf'];

beforeAll(async () => {
  server = await startTestRedis();
});
beforeEach(async () => {
  world = await openRecordWorld(server);
  ({ redis, queue, o3, worker, recordOf } = world);
});
afterEach(() => world.close());
afterAll(() => server.stop());

async function begun(token = 'a'): Promise<{ id: string; job: Job<JobData>; record: RunRecordWriter }> {
  const { id } = (await queue.enqueue(parseJobRequest({ question: 'Why?' }))).job;
  const job = await worker.take(token);
  const record = recordOf(job, token);
  await record.begin(0);
  return { id, job, record };
}

const bought = (upstreamId: string): Bought => ({
  upstreamId,
  upstreamStatus: 'queued',
  background: true,
  streamed: true,
  simulated: false,
  responseCreatedAt: Date.now(),
});

it('a mark and then a response id are one purchase, and no uncertain one', async () => {
  const { id, record } = await begun();
  expect(await record.submit('p1')).toEqual({ kind: 'ok', replaced: false });
  expect((await record.read()).submitting).toEqual({ token: 'p1', at: expect.any(Number), over: false });
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('ok');
  expect(await record.read()).toMatchObject({ submitting: undefined, upstreamId: 'resp_1', purchases: 1 });
  expect(await queue.get(id)).toMatchObject({ purchases: 1, uncertain_purchases: 0 });
});

it('a command that is sent again after a lost reply gets the same answer, and counts once', async () => {
  const { record } = await begun();
  await record.submit('p1');
  expect(await record.submit('p1')).toEqual({ kind: 'ok', replaced: false });
  await record.storePurchase('p1', bought('resp_1'));
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('ok');
  expect(await record.read()).toMatchObject({ purchases: 1, uncertainPurchases: 0 });
});

it('only the holder of the lock marks a purchase', async () => {
  const { job, record } = await begun();
  await expect(recordOf(job, 'b').submit('p2')).rejects.toThrow(LockLostError);
  expect((await record.read()).submitting).toBeUndefined();
});

it('a response id is stored without the lock, and its sender is told to stop', async () => {
  const { job, record } = await begun();
  await record.submit('p1');
  await redis.set(o3.keys.lock(job.id ?? ''), 'b');
  await expect(record.storePurchase('p1', bought('resp_1'))).rejects.toThrow(LockLostError);
  const next = recordOf(job, 'b');
  expect((await next.begin(0)).record).toMatchObject({ upstreamId: 'resp_1', purchases: 1 });
  expect(await next.submit('p2')).toMatchObject({ kind: 'purchased', record: { upstreamId: 'resp_1' } });
});

it('a response id whose mark was replaced is not stored', async () => {
  const { job, record } = await begun();
  await record.submit('p1');
  await redis.set(o3.keys.lock(job.id ?? ''), 'b');
  const next = recordOf(job, 'b');
  expect(await next.submit('p2')).toEqual({ kind: 'ok', replaced: true });
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await next.storePurchase('p2', bought('resp_2'))).toBe('ok');
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await next.read()).toMatchObject({ upstreamId: 'resp_2', purchases: 1, uncertainPurchases: 1 });
});

it('after Redis has lost the mark, only the holder of the lock stores its response id', async () => {
  const { id, job, record } = await begun();
  await record.submit('p1');
  await redis.hdel(o3.keys.run(id), 'submitting', 'submitting_at');
  expect(await recordOf(job, 'b').storePurchase('p2', bought('resp_2'))).toBe('superseded');
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('ok');
});

it('after a cancel no purchase is marked, but a response id is stored', async () => {
  const { id, record } = await begun();
  await record.submit('p1');
  await queue.cancel(id);
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('cancel-requested');
  expect(await record.submit('p2')).toEqual({ kind: 'cancel-requested' });
  expect(await record.finish({ status: 'cancelled', spent: null })).toBe('cancelled');
  expect(await record.submit('p3')).toEqual({ kind: 'finished' });
  expect(await queue.get(id)).toMatchObject({ status: 'cancelled', purchases: 1, uncertain_purchases: 0 });
});

it('a response id that arrives after the end is stored, and does not change the end', async () => {
  const { id, record } = await begun();
  await record.submit('p1');
  await queue.cancel(id);
  await record.finish({ status: 'cancelled', spent: null });
  expect(await queue.get(id)).toMatchObject({ status: 'cancelled', uncertain_purchases: 1 });
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('finished');
  expect(await queue.get(id)).toMatchObject({
    status: 'cancelled',
    upstream_id: 'resp_1',
    purchases: 1,
    uncertain_purchases: 0,
  });
});

it('the usage of a cancelled response is written even when the cancel was announced before', async () => {
  const { id, record } = await begun();
  await queue.cancel(id);
  await record.finish({ status: 'cancelled', spent: null });
  const usage = {
    input_tokens: 1,
    cached_tokens: 0,
    cache_write_tokens: 0,
    output_tokens: 2,
    reasoning_tokens: 0,
    total_tokens: 3,
  };
  const spent = { responseId: 'resp_1', usage, costNano: 18_000 };
  for (const _ of ['once', 'and again, after a lost reply'])
    expect(await record.finish({ status: 'cancelled', spent })).toBe('cancelled');
  expect(await queue.get(id)).toMatchObject({ status: 'cancelled', usage, cost_usd: 0.000018 });
  const { total } = await queue.usage();
  expect(total).toMatchObject({ requests: 1, input_tokens: 1, output_tokens: 2, cost_usd: 0.000018 });
});

it('a mark of a dead worker shows as an uncertain purchase, and the next mark counts it', async () => {
  const { id, job, record } = await begun();
  await record.submit('p1');
  expect(await queue.get(id)).toMatchObject({ status: 'active', uncertain_purchases: 0 });
  await worker.die(job);
  expect(await queue.get(id)).toMatchObject({ status: 'waiting', uncertain_purchases: 1 });
  const next = recordOf(await worker.take('b'), 'b');
  await next.begin(0);
  await next.submit('p2');
  await next.storePurchase('p2', bought('resp_2'));
  expect(await queue.get(id)).toMatchObject({ purchases: 1, uncertain_purchases: 1 });
});

it('a deleted job stores no response id', async () => {
  const { job, record } = await begun();
  await record.submit('p1');
  await redis.flushall();
  expect(await record.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await redis.exists(o3.keys.run(job.id ?? ''))).toBe(0);
});
