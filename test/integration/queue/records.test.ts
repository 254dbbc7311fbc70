import { UnrecoverableError } from 'bullmq';
import { removeJob } from '../../../src/job-store/actions.ts';
import { requireSettled } from '../../../src/job-store/find.ts';
import { LockLostError } from '../../../src/run/purchase-hold.ts';
import { eventually } from '../../support/eventually.ts';
import { COMPLETED, FAILED, useRecordWorld } from '../../support/worlds/record-world.ts';

const world = useRecordWorld();

it('begin, save and finish of a worker without the lock fail and change nothing', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.save({ upstreamId: 'resp_1', background: true });
  const before = await world.redis.hgetall(world.o3.keys.run(id));
  const other = world.writerOf(job, 'b');
  await expect(other.begin(0)).rejects.toThrow(LockLostError);
  await expect(other.save({ upstreamId: 'resp_2' })).rejects.toThrow(LockLostError);
  await expect(other.finish(COMPLETED)).rejects.toThrow(LockLostError);
  expect(await world.redis.hgetall(world.o3.keys.run(id))).toEqual(before);
  expect(await world.redis.exists(world.o3.keys.response(id))).toBe(0);
});

it('the first final status wins', async () => {
  const { id, writer } = await world.taken();
  await writer.begin(0);
  expect(await writer.finish(COMPLETED)).toBe('completed');
  expect(await writer.finish(FAILED)).toBe('completed');
  expect(await world.queue.get(id)).toMatchObject({
    status: 'completed',
    result: { answer_preview: 'Because.' },
  });
  expect(await world.queue.result(id)).toMatchObject({ status: 'completed', result: { answer: 'Because.' } });
});

it('a cancel before the end wins over it, and the answer is not kept', async () => {
  const { id, writer } = await world.taken();
  await writer.begin(0);
  expect(await world.queue.cancel(id)).toMatchObject({ outcome: 'cancelling', job: { cancelling: true } });
  expect(await writer.save({ upstreamStatus: 'in_progress' })).toEqual({ cancelRequested: true });
  expect(await writer.finish(COMPLETED)).toBe('cancelled');
  expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
  expect(await world.redis.exists(world.o3.keys.response(id))).toBe(0);
  expect(await world.redis.hget(world.o3.keys.run(id), 'summary')).toBeNull();
});

it('a cancel after the end is too late, also before BullMQ knows of the end', async () => {
  const { id, writer } = await world.taken();
  await writer.begin(0);
  await writer.finish(COMPLETED);
  await expect(world.queue.cancel(id)).rejects.toMatchObject({ code: 'job_finished' });
  expect(await world.queue.get(id)).toMatchObject({ status: 'completed' });
});

it('the end of a run survives a worker that dies before it tells BullMQ', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.save({ upstreamId: 'resp_1', background: true });
  await writer.finish(COMPLETED);
  await world.worker.die(job);
  expect(await world.queue.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
  const next = world.writerOf(await world.worker.take('b'), 'b');
  expect(await next.begin(0)).toMatchObject({ state: 'finished', record: { status: 'completed' } });
});

it('a begin that is sent again after a lost reply gets the same answer', async () => {
  const { id, job, writer } = await world.taken();
  const first = await writer.begin(0);
  expect(first).toMatchObject({ state: 'open', record: { attempt: 1 } });
  await writer.save({ upstreamId: 'resp_1', background: true });
  expect(await writer.begin(0)).toMatchObject({
    state: 'open',
    record: { attempt: 1, upstreamId: 'resp_1' },
  });
  await writer.finish(COMPLETED);
  await world.worker.die(job);
  const next = world.writerOf(await world.worker.take('b'), 'b');
  for (let i = 0; i < 3; i += 1) {
    // With the answer `open` the worker would delete the paid answer and buy another.
    expect(await next.begin(0)).toMatchObject({ state: 'finished', record: { status: 'completed' } });
  }
  expect(await world.queue.result(id)).toMatchObject({ status: 'completed' });
});

it('a job that was retried through BullMQ alone, as Bull Board does, begins a new run', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.save({
    upstreamId: 'resp_1',
    background: true,
    error: { code: 'x', message: 'y', retryable: true },
  });
  await writer.finish(FAILED);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');
  const failed = await world.o3.bullmq.getJob(id);
  await failed?.retry('failed');
  expect(await world.queue.get(id)).toMatchObject({ status: 'waiting', attempt: 0 });
  expect((await world.queue.list({ status: 'waiting' })).jobs).toMatchObject([{ id }]);
  expect((await world.queue.list({ status: 'failed' })).jobs).toEqual([]);
  const next = world.writerOf(await world.worker.take('b'), 'b');
  const { state } = await next.begin(1);
  // Its reservation was for the earlier run.
  expect(state).toBe('unreserved');
  await world.redis.hset(world.o3.keys.run(id), { reserved_model: 'o3' });
  const { state: again, record: known } = await next.begin(1);
  expect(again).toBe('open');
  expect(known).toMatchObject({ attempt: 1, upstreamId: undefined, status: undefined, error: undefined });
});

it('a job that was retried on Bull Board can be cancelled before it runs', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.finish(FAILED);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');
  await (await world.o3.bullmq.getJob(id))?.retry('failed');
  expect(await world.queue.cancel(id)).toMatchObject({
    outcome: 'cancelled',
    job: { status: 'cancelled', attempt: 0 },
  });
  expect((await world.queue.list({ status: 'failed' })).jobs).toEqual([]);
  expect((await world.queue.list({ status: 'cancelled' })).jobs).toMatchObject([{ id }]);
});

it('a released job that is cancelled is final at once, its response is stopped later', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.save({ upstreamId: 'resp_1', background: true });
  await job.moveToWait('a');
  expect(await world.queue.cancel(id)).toMatchObject({ outcome: 'cancelled', job: { status: 'cancelled' } });
  expect((await world.queue.list({ status: 'waiting' })).jobs).toEqual([]);
  const again = await world.worker.take('b');
  expect(again.id).toBe(id);
  expect(await world.writerOf(again, 'b').begin(0)).toMatchObject({
    state: 'finished',
    record: { status: 'cancelled', upstreamId: 'resp_1' },
  });
  await again.moveToFailed(new UnrecoverableError('cancelled: on request'), 'b');
  expect(await world.queue.get(id)).toMatchObject({ status: 'cancelled' });
  expect(await world.queue.retry(id)).toMatchObject({ status: 'waiting', attempt: 0 });
  expect(await world.writerOf(await world.worker.take('c'), 'c').begin(0)).toMatchObject({
    state: 'unreserved',
  });
});

it.each([
  ['failed', FAILED],
  ['cancelled', { status: 'cancelled', spent: null }],
] as const)('a job that is %s stays so when its worker dies while it tells BullMQ', async (status, end) => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.finish(end);
  // BullMQ retries after any error.
  await job.moveToFailed(new Error('a bug'), 'a');
  expect(await job.getState()).toBe('waiting');
  expect(await world.queue.get(id)).toMatchObject({ status });
  const again = await world.worker.take('b');
  expect(await world.writerOf(again, 'b').begin(1)).toMatchObject({ state: 'finished', record: { status } });
  await again.moveToFailed(new Error('the same bug'), 'b');
  expect(await world.queue.get(id)).toMatchObject({ status });
  expect(await world.writerOf(await world.worker.take('c'), 'c').begin(2)).toMatchObject({
    state: 'finished',
  });
});

it('a cancelled released job cannot be retried or deleted before a worker told BullMQ', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.save({ upstreamId: 'resp_1', background: true });
  await job.moveToWait('a');
  await world.queue.cancel(id);
  const refused = {
    code: 'job_not_finished',
    message: expect.stringContaining('is cancelled, but BullMQ does not know it yet'),
  };
  await Promise.all([
    expect(world.queue.retry(id)).rejects.toMatchObject(refused),
    expect(world.queue.delete(id)).rejects.toMatchObject(refused),
  ]);
});

it('a retry that dies after it told BullMQ leaves a job that begins a new run', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.finish(FAILED);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');
  const failed = await world.o3.bullmq.getJob(id);
  await failed?.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
  // The producer dies here.
  expect(await world.queue.get(id)).toMatchObject({ status: 'waiting', attempt: 0 });
  expect(await world.writerOf(await world.worker.take('b'), 'b').begin(0)).toMatchObject({
    state: 'unreserved',
    record: { attempt: 0, status: undefined },
  });
});

it('a delete that read a job before its retry does not touch the new run', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  await writer.finish(FAILED);
  await job.moveToFailed(new UnrecoverableError('upstream_error: a bad day'), 'a');
  const located = await requireSettled(new Map([['o3', world.o3]]), id, undefined);
  await world.queue.retry(id);
  const refused = { code: 'job_not_finished' };
  await expect(removeJob(world, located)).rejects.toMatchObject(refused);
  const next = world.writerOf(await world.worker.take('b'), 'b');
  await next.begin(0);
  await next.save({ upstreamId: 'resp_2', background: true });
  await expect(removeJob(world, located)).rejects.toMatchObject(refused);
  expect(await world.redis.hget(world.o3.keys.run(id), 'upstream_id')).toBe('resp_2');
  expect((await world.queue.list({ status: 'active' })).jobs).toMatchObject([{ id, upstream_id: 'resp_2' }]);
});

it('a run that BullMQ ended by itself is finished without a lock, an open run is not', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  const byNobody = world.writerOf(job, '');
  await expect(byNobody.finish(FAILED)).rejects.toThrow(LockLostError);
  await job.moveToFailed(new UnrecoverableError('job stalled more than allowable limit'), 'a');
  expect(await world.queue.get(id)).toMatchObject({
    status: 'failed',
    error: { code: 'stalled', retryable: true },
  });
  expect(await byNobody.finish(FAILED)).toBe('failed');
  expect(await world.queue.get(id)).toMatchObject({ status: 'failed', error: { code: 'upstream_error' } });
  expect((await world.queue.list({ status: 'failed' })).jobs).toMatchObject([{ id }]);
});

it('finished records have the time to live of their retention, open records have none', async () => {
  const { id, job, writer } = await world.taken();
  await writer.begin(0);
  expect(await world.redis.ttl(world.o3.keys.run(id))).toBe(-1);
  await writer.finish(COMPLETED);
  expect(await world.redis.ttl(world.o3.keys.run(id))).toBeGreaterThan(0);
  expect(await world.redis.ttl(world.o3.keys.response(id))).toBeGreaterThan(0);
  await job.moveToCompleted(COMPLETED.status, 'a');
  await world.redis.del(world.o3.keys.run(id));
  await eventually(async () => expect(await world.queue.get(id)).toMatchObject({ status: 'completed' }));
});
