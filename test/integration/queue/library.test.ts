import { Redis } from 'ioredis';
import { QueueError } from '../../../src/errors/problem.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;
let redis: Redis;
let queue: O3Queue;

beforeAll(async () => {
  instance = await startInstance();
  redis = new Redis(instance.redis.url);
});
beforeEach(() => {
  queue = new O3Queue({ redisUrl: instance.redis.url, ...instance.models });
  instance.simulator.ledger.reset();
});
afterEach(() => queue.close());
afterAll(async () => {
  redis.disconnect();
  await instance.stop();
});

/** The library's connections in Redis. The producer of the instance uses the same names. */
async function connections(): Promise<number> {
  return String(await redis.client('LIST')).match(/name=o3q:(queue|news) /g)?.length ?? 0;
}

const STALLED = { metadata: { sim: 'stall', sim_events: '3' } };

it('O3Queue enqueues, waits, reads, lists, retries and deletes without HTTP', async () => {
  const { id } = await queue.enqueue({ question: 'Directly?' });
  expect(await queue.wait(id, { timeoutMs: 60_000 })).toMatchObject({ id, status: 'completed' });
  expect(await queue.result(id)).toMatchObject({
    status: 'completed',
    result: { answer: expect.stringContaining('Directly?'), model: 'o3' },
  });
  expect((await queue.list({ q: 'directly' })).jobs).toMatchObject([{ id }]);
  await expect(queue.retry(id)).rejects.toMatchObject({ code: 'job_finished' });
  await queue.delete(id);
  await expect(queue.get(id)).rejects.toMatchObject({ code: 'job_not_found' });
  await expect(queue.result(id)).rejects.toMatchObject({ code: 'job_not_found' });
});

it('a bulk has an outcome for each request, in order, and a bad request fails alone', async () => {
  const requests = [
    { question: 'One?' },
    { question: '' },
    { request: { input: 'Two?' } },
    { question: 'Three?', model: 'gpt-9' },
    { question: 'Four?', delay_ms: 3_600_000 },
  ];
  const outcomes = await queue.enqueueBulk(requests);
  expect(outcomes).toMatchObject([
    { ok: true, job: { question: 'One?', status: 'waiting' } },
    { ok: false, error: { code: 'invalid_request', flaws: [{ path: 'question' }] } },
    { ok: true, job: { question: 'Two?', status: 'waiting' } },
    { ok: false, error: { code: 'unknown_model' } },
    { ok: true, job: { question: 'Four?', status: 'delayed' } },
  ]);
  for (const outcome of outcomes) {
    if (!outcome.ok) expect(outcome.error).toBeInstanceOf(QueueError);
    else if (outcome.job.status === 'waiting') await queue.wait(outcome.job.id, { timeoutMs: 60_000 });
  }
  const bought = instance.simulator.ledger.entries();
  expect(bought.map(({ question }) => question).sort()).toEqual(['One?', 'Two?']);
  expect(bought.map(({ mode }) => mode)).toEqual(['background', 'background']);
});

it('an empty bulk has no outcome, and a bulk of more than 1,000 is refused as a whole', async () => {
  expect(await queue.enqueueBulk([])).toEqual([]);
  const jobs = keysOf('o3q', 'o3').job('*');
  const before = await redis.keys(jobs);
  await expect(
    queue.enqueueBulk(Array.from({ length: 1001 }, () => ({ question: 'Too many?' }))),
  ).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining('at most 1000 requests, got 1001'),
  });
  // Other keys come and go: heartbeats of workers, their list of models.
  expect((await redis.keys(jobs)).sort()).toEqual(before.sort());
});

it('an aborted wait throws the reason of the signal, and the job goes on', async () => {
  const { id } = await queue.enqueue({ question: 'Slow?', ...STALLED });
  const reason = new Error('changed my mind');
  await expect(queue.wait(id, { timeoutMs: 60_000, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const later = new AbortController();
  const waiting = queue.wait(id, { timeoutMs: 60_000, signal: later.signal });
  await eventually(async () => expect(await queue.get(id)).toMatchObject({ status: 'active' }));
  later.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(await queue.get(id)).toMatchObject({ status: 'active', cancelling: false });
  await queue.cancel(id);
  expect(await queue.wait(id, { timeoutMs: 60_000 })).toMatchObject({ status: 'cancelled' });
});

it.each([0, -1, 1, Number.NaN])('a wait of %d ms returns the job as it is', async (timeoutMs) => {
  const { id } = await queue.enqueue({ question: 'Later?', delay_ms: 3_600_000 });
  expect(await queue.wait(id, { timeoutMs })).toMatchObject({ id, status: 'delayed' });
});

it('a wait without a limit ends with its job', async () => {
  const { id } = await queue.enqueue({ question: 'Now?' });
  expect(await queue.wait(id, { timeoutMs: Number.POSITIVE_INFINITY })).toMatchObject({
    status: 'completed',
  });
});

it('a job that does not exist is null, or an error with a code', async () => {
  const missing = { name: 'QueueError', code: 'job_not_found' };
  await expect(queue.get('nobody')).rejects.toMatchObject(missing);
  await expect(queue.result('nobody')).rejects.toMatchObject(missing);
  await expect(queue.wait('nobody', { timeoutMs: 1000 })).rejects.toMatchObject(missing);
  await expect(queue.cancel('nobody')).rejects.toMatchObject(missing);
  await expect(queue.retry('nobody')).rejects.toMatchObject(missing);
  await expect(queue.delete('nobody')).rejects.toMatchObject(missing);
  await expect(queue.list({ model: 'nobody' })).rejects.toMatchObject({ code: 'invalid_request' });
});

it('close ends every wait with the job as it is, and leaves no connection', async () => {
  const before = await connections();
  const other = new O3Queue({ redisUrl: instance.redis.url, ...instance.models });
  const { id } = await other.enqueue({ question: 'Slow?', ...STALLED });
  await eventually(async () => expect(await other.get(id)).toMatchObject({ status: 'active' }));
  await other.cancel(id);
  const { id: delayed } = await other.enqueue({ question: 'Later?', delay_ms: 3_600_000 });
  const waits = Array.from({ length: 5 }, () => other.wait(delayed, { timeoutMs: 600_000 }));
  await eventually(async () => expect(await connections()).toBe(before + 2));
  await other.close();
  for (const view of await Promise.all(waits)) expect(view).toMatchObject({ id: delayed, status: 'delayed' });
  await eventually(async () => expect(await connections()).toBe(before));
  await expect(other.get(delayed)).rejects.toMatchObject({ code: 'redis_unavailable' });
  await other.close();
});

it('two installations with two prefixes share one Redis without seeing each other', async () => {
  const other = new O3Queue({ redisUrl: instance.redis.url, prefix: 'another' });
  const { id } = await other.enqueue({ question: 'Elsewhere?' });
  await expect(queue.get(id)).rejects.toMatchObject({ code: 'job_not_found' });
  expect((await queue.list({ q: 'elsewhere' })).jobs).toEqual([]);
  expect((await other.list()).jobs).toMatchObject([{ id, status: 'waiting' }]);
  expect(await other.cancel(id)).toMatchObject({ status: 'cancelled' });
  await other.close();
});
