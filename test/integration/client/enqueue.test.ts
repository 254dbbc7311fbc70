import { O3Client } from '../../../src/client/o3-client.ts';
import type { WaitingJob } from '../../../src/job/view.ts';
import { waiting } from '../../support/http/job-views.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';
import {
  closeScripted,
  cut,
  json,
  noRedis,
  problem,
  startScripted,
} from '../../support/worlds/scripted-instance.ts';

let instance: Instance;
let client: O3Client;

beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
});
afterEach(closeScripted);
afterAll(() => instance.stop());

const accepted = json(202, waiting satisfies WaitingJob);
const LATER = { delay_ms: 3_600_000 };

describe('with an idempotency key', () => {
  it('the same request gives the same job, and another request is refused', async () => {
    const request = { question: 'Once?', ...LATER };
    const first = await client.enqueue(request, { idempotencyKey: 'once' });
    expect(await client.enqueue(request, { idempotencyKey: 'once' })).toMatchObject({ id: first.id });
    await expect(client.enqueue({ question: 'Twice?' }, { idempotencyKey: 'once' })).rejects.toMatchObject({
      code: 'idempotency_key_reused',
      status: 409,
    });
  });

  it('a call is repeated when its answer is lost or Redis is away', async () => {
    const { url, seen } = await startScripted(cut, noRedis({ 'retry-after-ms': '10' }), accepted);
    const job = await new O3Client({ url }).enqueue({ question: 'Once?' }, { idempotencyKey: 'once' });
    expect(job).toEqual(waiting);
    expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual(Array(3).fill('POST /jobs'));
  });

  it('a call that never gets through fails with answer_lost', async () => {
    const { url } = await startScripted(cut);
    const impatient = new O3Client({ url, readPatienceMs: 200 });
    const call = impatient.enqueue({ question: 'Once?' }, { idempotencyKey: 'once' });
    await expect(call).rejects.toMatchObject({ code: 'answer_lost' });
  });

  it.each(['', 'k'.repeat(256), 'schlüssel', 'two\nlines', ' blank'])(
    'a key that no header can hold is refused: %j',
    async (key) => {
      const { url, seen } = await startScripted(accepted);
      const call = new O3Client({ url }).enqueue({ question: 'Once?' }, { idempotencyKey: key });
      await expect(call).rejects.toMatchObject({ code: 'invalid_request' });
      expect(seen).toEqual([]);
    },
  );
});

it('without a key a call is sent once, whatever the answer', async () => {
  const away = await startScripted(noRedis({ 'retry-after-ms': '0' }), accepted);
  await expect(new O3Client({ url: away.url }).enqueue({ question: 'Once?' })).rejects.toMatchObject({
    code: 'redis_unavailable',
  });
  expect(away.seen).toHaveLength(1);
  const { url, seen } = await startScripted(cut, accepted);
  await expect(new O3Client({ url }).enqueue({ question: 'Once?' })).rejects.toMatchObject({
    code: 'answer_lost',
  });
  expect(seen).toHaveLength(1);
});

describe('a bulk', () => {
  it('has an outcome for each request, in order', async () => {
    const requests = [
      { question: 'One?', ...LATER, idempotency_key: 'one' },
      { question: '' },
      { question: 'Two?', model: 'gpt-9' },
    ];
    const first = await client.enqueueBulk(requests);
    expect(first).toMatchObject([
      { ok: true, isNew: true, job: { question: 'One?' } },
      { ok: false, error: { name: 'O3ClientError', code: 'invalid_request', flaws: [{ path: 'question' }] } },
      { ok: false, error: { code: 'unknown_model', status: 400 } },
    ]);
    expect((await client.enqueueBulk(requests))[0]).toMatchObject({ ok: true, isNew: false });
  });

  it('is repeated only when every request has a key', async () => {
    const answer = json(207, { outcomes: [{ status: 202, job: waiting }] });
    const keyed = await startScripted(cut, answer);
    const request = { question: 'One?' };
    const outcomes = await new O3Client({ url: keyed.url }).enqueueBulk([
      { ...request, idempotency_key: 'one' },
    ]);
    expect(outcomes).toEqual([{ ok: true, job: waiting, isNew: true }]);
    expect(keyed.seen).toHaveLength(2);
    const keyless = await startScripted(cut, answer);
    await expect(new O3Client({ url: keyless.url }).enqueueBulk([request])).rejects.toMatchObject({
      code: 'answer_lost',
    });
    expect(keyless.seen).toHaveLength(1);
  });

  it('that is answered with too few outcomes fails', async () => {
    const { url } = await startScripted(json(207, { outcomes: [] }));
    await expect(new O3Client({ url }).enqueueBulk([{ question: 'One?' }])).rejects.toMatchObject({
      code: 'unexpected_response',
    });
  });
});

it('a refusal for too many requests says how long to wait', async () => {
  const tooMany = problem(429, 'too_many_requests', 'Too many');
  const { url } = await startScripted((response, request) => {
    response.setHeader('retry-after', '7');
    tooMany(response, request);
  });
  await expect(new O3Client({ url }).get('job_1')).rejects.toMatchObject({
    code: 'too_many_requests',
    retryAfterMs: 7000,
  });
});
