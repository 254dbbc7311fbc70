import { LockLostError } from '../../../src/run/purchase-hold.ts';
import type { Bought } from '../../../src/run/record.ts';
import { useRecordWorld } from '../../support/worlds/record-world.ts';

/** Tests who may write what of a purchase in each of its states. */

const world = useRecordWorld();

const bought = (upstreamId: string): Bought => ({
  upstreamId,
  upstreamStatus: 'queued',
  background: true,
  streamed: true,
  simulated: false,
  responseCreatedAt: Date.now(),
});

it('a mark and then a response id are one purchase, and no uncertain one', async () => {
  const { id, writer } = await world.begun();
  expect(await writer.markPurchase('p1')).toEqual({ kind: 'ok', replaced: false });
  expect((await writer.read()).purchaseMark).toEqual({
    fencingToken: 'p1',
    at: expect.any(Number),
    sender: 'unknown',
  });
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('ok');
  expect(await writer.read()).toMatchObject({ purchaseMark: undefined, upstreamId: 'resp_1', purchases: 1 });
  expect(await world.queue.get(id)).toMatchObject({ purchases: 1, uncertain_purchases: 0 });
});

it('a command that is sent again after a lost reply gets the same answer, and counts once', async () => {
  const { writer } = await world.begun();
  await writer.markPurchase('p1');
  expect(await writer.markPurchase('p1')).toEqual({ kind: 'ok', replaced: false });
  await writer.storePurchase('p1', bought('resp_1'));
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('ok');
  expect(await writer.read()).toMatchObject({ purchases: 1, uncertainPurchases: 0 });
});

it('only the holder of the lock marks a purchase', async () => {
  const { job, writer } = await world.begun();
  await expect(world.writerOf(job, 'b').markPurchase('p2')).rejects.toThrow(LockLostError);
  expect((await writer.read()).purchaseMark).toBeUndefined();
});

it('a response id is stored without the lock, and its sender is told to stop', async () => {
  const { job, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.set(world.o3.keys.lock(job.id ?? ''), 'b');
  await expect(writer.storePurchase('p1', bought('resp_1'))).rejects.toThrow(LockLostError);
  const next = world.writerOf(job, 'b');
  expect((await next.begin(0)).record).toMatchObject({ upstreamId: 'resp_1', purchases: 1 });
  expect(await next.markPurchase('p2')).toMatchObject({
    kind: 'purchased',
    record: { upstreamId: 'resp_1' },
  });
});

it('a response id whose mark was replaced is not stored', async () => {
  const { job, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.set(world.o3.keys.lock(job.id ?? ''), 'b');
  const next = world.writerOf(job, 'b');
  expect(await next.markPurchase('p2')).toEqual({ kind: 'ok', replaced: true });
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await next.storePurchase('p2', bought('resp_2'))).toBe('ok');
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await next.read()).toMatchObject({ upstreamId: 'resp_2', purchases: 1, uncertainPurchases: 1 });
});

it('after Redis has lost the mark, the response id is stored all the same, by the holder of the lock', async () => {
  const { id, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.hdel(world.o3.keys.run(id), 'purchase_mark', 'purchase_mark_at');
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('ok');
});

it('after Redis has lost the mark, the response id is stored for the worker that has the job now', async () => {
  const { id, job, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.hdel(world.o3.keys.run(id), 'purchase_mark', 'purchase_mark_at');
  await world.redis.set(world.o3.keys.lock(id), 'b');
  await expect(writer.storePurchase('p1', bought('resp_1'))).rejects.toThrow(LockLostError);
  expect(await world.writerOf(job, 'b').markPurchase('p2')).toMatchObject({ kind: 'purchased' });
});

it('a response that Redis has forgotten, and whose job was bought again, counts as uncertain once', async () => {
  const { id, job, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.hdel(world.o3.keys.run(id), 'purchase_mark', 'purchase_mark_at');
  await world.redis.set(world.o3.keys.lock(id), 'b');
  const next = world.writerOf(job, 'b');
  expect(await next.markPurchase('p2')).toEqual({ kind: 'ok', replaced: false });
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  await next.storePurchase('p2', bought('resp_2'));
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await next.read()).toMatchObject({ upstreamId: 'resp_2', purchases: 1, uncertainPurchases: 1 });
});

it('a response id of a job that is gone is not stored', async () => {
  const { id, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.del(world.o3.keys.run(id), world.o3.keys.job(id), world.o3.keys.lock(id));
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await world.redis.exists(world.o3.keys.run(id))).toBe(0);
});

it('after a cancel no purchase is marked, but a response id is stored', async () => {
  const { id, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.queue.cancel(id);
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('cancel-requested');
  expect(await writer.markPurchase('p2')).toEqual({ kind: 'cancel-requested' });
  expect(await writer.finish({ status: 'cancelled', spent: null })).toBe('cancelled');
  expect(await writer.markPurchase('p3')).toEqual({ kind: 'finished' });
  expect(await world.queue.get(id)).toMatchObject({
    status: 'cancelled',
    purchases: 1,
    uncertain_purchases: 0,
  });
});

it('a response id that arrives after the end is stored, and does not change the end', async () => {
  const { id, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.queue.cancel(id);
  await writer.finish({ status: 'cancelled', spent: null });
  expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled', uncertain_purchases: 1 });
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('finished');
  expect(await world.queue.get(id)).toMatchObject({
    status: 'cancelled',
    upstream_id: 'resp_1',
    purchases: 1,
    uncertain_purchases: 0,
  });
});

it('the usage of a cancelled response is written even when the cancel was announced before', async () => {
  const { id, writer } = await world.begun();
  await world.queue.cancel(id);
  await writer.finish({ status: 'cancelled', spent: null });
  const usage = {
    input_tokens: 1,
    cached_tokens: 0,
    cache_write_tokens: 0,
    output_tokens: 2,
    reasoning_tokens: 0,
    total_tokens: 3,
  };
  const spent = { responseId: 'resp_1', usage, cost: { nano: 18_000, listNano: 18_000, isEstimated: false } };
  for (const _ of ['once', 'and again, after a lost reply'])
    expect(await writer.finish({ status: 'cancelled', spent })).toBe('cancelled');
  expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled', usage, cost_usd: 0.000018 });
  const { total } = await world.queue.usage();
  expect(total).toMatchObject({ requests: 1, input_tokens: 1, output_tokens: 2, cost_usd: 0.000018 });
});

it('a mark of a dead worker shows as an uncertain purchase, and the next mark counts it', async () => {
  const { id, job, writer } = await world.begun();
  await writer.markPurchase('p1');
  expect(await world.queue.get(id)).toMatchObject({ status: 'active', uncertain_purchases: 0 });
  await world.worker.die(job);
  expect(await world.queue.get(id)).toMatchObject({ status: 'waiting', uncertain_purchases: 1 });
  const next = world.writerOf(await world.worker.take('b'), 'b');
  await next.begin(0);
  await next.markPurchase('p2');
  await next.storePurchase('p2', bought('resp_2'));
  expect(await world.queue.get(id)).toMatchObject({ purchases: 1, uncertain_purchases: 1 });
});

it('a deleted job stores no response id', async () => {
  const { job, writer } = await world.begun();
  await writer.markPurchase('p1');
  await world.redis.flushall();
  expect(await writer.storePurchase('p1', bought('resp_1'))).toBe('superseded');
  expect(await world.redis.exists(world.o3.keys.run(job.id ?? ''))).toBe(0);
});
