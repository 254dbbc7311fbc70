import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import type { JobResult, JobView } from '../../../src/job/view.ts';
import { inspectJob } from '../../../src/job-store/inspection.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { openSse } from '../../support/http/sse-reader.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** A text of 140 KB, which is compressed in a thread. Its end is far from the beginning that lists show. */
const TEXT = `${readFileSync('docs/ARCHITECTURE.md', 'utf8').repeat(2)} The needle.`;
/** The simulator streams a delta for each token by default: many thousand here. */
const FEW_DELTAS = { sim_deltas: '20' };
const YEAR_MS = 365 * 24 * 3_600_000;
const keys = keysOf('o3q', 'o3');

let instance: Instance;
let redis: Redis;

beforeAll(async () => {
  // The answer is the body that the upstream was sent.
  instance = await startInstance({ simulator: { answer: ({ body }) => JSON.stringify(body) } });
  redis = new Redis(instance.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await instance.stop();
});

const storedData = async (id: string): Promise<Record<string, unknown>> =>
  JSON.parse((await redis.hget(keys.job(id), 'data')) ?? 'null') as Record<string, unknown>;
const responsePath = (id: string): string => `/v1/responses/${id.replace('job_', 'resp_')}`;
const get = async (path: string): Promise<unknown> => (await call(instance.url, 'GET', path)).body;
const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call(instance.url, 'POST', path, { body, headers });

it('a large request and its answer are compressed in Redis, and whole at every door', async () => {
  const request = { input: TEXT, metadata: FEW_DELTAS };
  const created = await post('/jobs', { request, stream: false }, { 'idempotency-key': 'once' });
  const { id } = created.body as JobView;
  await reached(instance.url, id, 'completed');

  const data = await redis.hstrlen(keys.job(id), 'data');
  expect(await storedData(id)).toEqual({ stream: false, gzip: expect.any(String) });
  expect(data).toBeLessThan(TEXT.length * 0.67);
  const answer = await redis.getBuffer(keys.response(id));
  expect(answer?.subarray(0, 2).toString('hex')).toBe('1f8b');
  expect(answer?.length).toBeLessThan(TEXT.length * 0.5);

  const result = (await get(`/jobs/${id}/result`)) as JobResult;
  expect(JSON.parse(result.answer ?? '')).toMatchObject(request);
  const queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
  expect(await queue.result(id)).toEqual({ status: 'completed', result });
  const response = (await get(responsePath(id))) as { output: { content?: { text: string }[] }[] };
  expect(response.output.at(-1)?.content?.[0]?.text === result.answer).toBe(true);
  const items = (await get(`${responsePath(id)}/input_items`)) as { data: { content: { text: string }[] }[] };
  expect(items.data[0]?.content[0]?.text === TEXT).toBe(true);
  const { job: shown } = (await get(`/board/api/queues/o3/${id}`)) as {
    job: { data: { request: { input: string } }; returnValue: { answer: string } };
  };
  expect(shown.data.request.input.slice(0, 50_000)).toBe(TEXT.slice(0, 50_000));
  expect(shown.returnValue.answer.slice(0, 50_000)).toBe(result.answer?.slice(0, 50_000));
  const inspection = await inspectJob(redis, 'o3q', instance.models, id);
  expect(JSON.parse(inspection.bullmq['data'] ?? '')).toEqual({ request, stream: false });
  expect(await get('/jobs?q=the%20needle')).toMatchObject({ jobs: [{ id }], searched: { too_large: 0 } });

  // The estimate of tokens and the key's request are of the text, not of what is stored.
  const options = JSON.parse((await redis.hget(keys.job(id), 'opts')) ?? '') as { need: { input: number } };
  expect(options.need.input).toBeGreaterThan(TEXT.length / 4);
  const again = await post('/jobs', { request, stream: false }, { 'idempotency-key': 'once' });
  expect(again).toMatchObject({ status: 200, body: { id } });
  const other = { request: { ...request, input: `${TEXT}!` }, stream: false };
  expectProblem(await post('/jobs', other, { 'idempotency-key': 'once' }), 409, 'idempotency_key_reused');
  await queue.close();
});

it('watchers read a compressed answer, and of a bulk only the large requests are compressed', async () => {
  const jobs = [TEXT, 'Short?'].map((question) => ({ question, stream: true, metadata: FEW_DELTAS }));
  const { outcomes } = (await post('/jobs/bulk', { jobs })).body as { outcomes: { job: JobView }[] };
  const [large = '', small = ''] = outcomes.map(({ job }) => job.id);
  expect(await storedData(large)).toEqual({ stream: true, metadata: FEW_DELTAS, gzip: expect.any(String) });
  expect(await storedData(small)).toEqual(jobs[1]);
  await reached(instance.url, large, 'completed');
  const { messages } = await openSse(`${instance.url}/jobs/${large}/events`);
  let text = '';
  for await (const { event, data } of messages)
    if (event === 'delta') text += (data as { text: string }).text;
  expect(JSON.parse(text)).toMatchObject({ input: TEXT });
});

it('a compressed job is retried and deleted like any other, at the upstream too unless it stores nothing', async () => {
  const ids: string[] = [];
  for (const store of [true, false]) {
    const { id } = await enqueue(instance.url, {
      request: { input: TEXT, store },
      stream: false,
      delay_ms: YEAR_MS,
    });
    await post(`/jobs/${id}/cancel`);
    await post(`/jobs/${id}/retry`);
    await reached(instance.url, id, 'completed');
    ids.push(id);
  }
  const deleted = () => instance.simulator.ledger.totals().deletes;
  const before = deleted();
  for (const id of ids)
    expect(await call(instance.url, 'DELETE', `/jobs/${id}`)).toMatchObject({ status: 204 });
  await eventually(() => expect(deleted()).toBe(before + 1));
  for (const id of ids) expect(await redis.exists(keys.job(id), keys.response(id))).toBe(0);
  expect(await redis.zcard(keys.deletions)).toBe(0);
});

it('jobs that were stored without compression run, and their answers are read', async () => {
  const plain = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models, compressAboveKb: 0 });
  const [outcome] = await plain.enqueueBulk([{ question: TEXT, metadata: FEW_DELTAS }]);
  const id = outcome?.ok ? outcome.job.id : '';
  expect(await storedData(id)).toEqual({ question: TEXT, stream: false, metadata: FEW_DELTAS });
  await reached(instance.url, id, 'completed');
  const result = (await get(`/jobs/${id}/result`)) as JobResult;
  await redis.set(keys.response(id), JSON.stringify(result.response));
  expect(await get(`/jobs/${id}/result`)).toEqual(result);
  await plain.close();
});

it('a damaged request fails its own job only, and a damaged answer is an error that names its job', async () => {
  const { id } = await enqueue(instance.url, { question: TEXT, delay_ms: YEAR_MS });
  const { gzip } = (await storedData(id)) as { gzip: string };
  await redis.hset(keys.job(id), 'data', JSON.stringify({ gzip: gzip.slice(0, 4000), stream: false }));
  await post(`/jobs/${id}/cancel`);
  await post(`/jobs/${id}/retry`);
  expect((await reached(instance.url, id, 'failed')).error).toEqual({
    code: 'invalid_request',
    message: expect.stringMatching(/gzip: expected .* enqueue the request again$/),
    retryable: false,
  });

  const { id: whole } = await enqueue(instance.url, { question: TEXT, stream: false, metadata: FEW_DELTAS });
  await reached(instance.url, whole, 'completed');
  const answer = await redis.getBuffer(keys.response(whole));
  await redis.set(keys.response(whole), answer?.subarray(0, 4000) ?? '');
  const broken = await call(instance.url, 'GET', `/jobs/${whole}/result`);
  expectProblem(broken, 500, 'answer_damaged');
  expect(broken.body).toMatchObject({
    detail: expect.stringContaining(`The answer of job ${whole} is damaged`),
  });
  const stream = await call(instance.url, 'GET', `${responsePath(whole)}?stream=true`);
  expect(stream).toMatchObject({ status: 500, body: { error: { code: 'answer_damaged' } } });
  expect(await get(`/jobs/${whole}/events`)).toMatch(/event: done/);
  expect(await viewOf(instance.url, whole)).toMatchObject({ status: 'completed' });
  expect(await call(instance.url, 'DELETE', `/jobs/${whole}`)).toMatchObject({ status: 204 });
});
