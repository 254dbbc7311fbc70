import type { JobView } from '../../../src/job/view.ts';
import { type Answer, call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance({ http: { maxBodyMb: 1 } });
  // The first response of all is streamed, to find out whether the upstream can work in the background.
  await reached(instance.url, (await enqueue(instance.url, { question: 'First of all?' })).id, 'completed');
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

/** Far from its time, so that nothing runs. */
const LATER = { delay_ms: 3_600_000 };

interface Outcome {
  status: number;
  job: JobView;
  problem: { code: string; detail: string; flaws: unknown };
}

const post = (body: unknown): Promise<Answer> => call(instance.url, 'POST', '/jobs/bulk', { body });
async function outcomesOf(jobs: readonly unknown[]): Promise<Outcome[]> {
  const answer = await post({ jobs });
  expect(answer).toMatchObject({ status: 207, body: { outcomes: expect.any(Array) } });
  return (answer.body as { outcomes: Outcome[] }).outcomes;
}

it('a bulk answers each job in order, and an invalid one is refused alone', async () => {
  const outcomes = await outcomesOf([
    { question: 'One?' },
    { question: '' },
    { request: { input: 'Two?' } },
    null,
    { question: 'Three?', model: 'gpt-9' },
    { question: 'Four?', stream: true },
  ]);
  expect(outcomes).toMatchObject([
    { status: 202, job: { question: 'One?', status: 'waiting' } },
    { status: 400, problem: { code: 'invalid_request', status: 400, flaws: [{ path: 'question' }] } },
    { status: 202, job: { question: 'Two?' } },
    { status: 400, problem: { code: 'invalid_request' } },
    { status: 400, problem: { code: 'unknown_model', flaws: [{ path: 'model' }] } },
    { status: 202, job: { question: 'Four?' } },
  ]);
  for (const { job } of outcomes) if (job !== undefined) await reached(instance.url, job.id, 'completed');
  const modes = instance.simulator.ledger.entries().map(({ question, mode }) => [question, mode]);
  expect(modes.toSorted()).toEqual([
    ['Four?', 'background+stream'],
    ['One?', 'background'],
    ['Two?', 'background'],
  ]);
});

it('a repeated bulk finds the jobs of its idempotency keys, also those enqueued one by one', async () => {
  const headers = { 'idempotency-key': 'alone' };
  const alone = await call(instance.url, 'POST', '/jobs', {
    body: { question: 'Alone?', ...LATER },
    headers,
  });
  const jobs = [
    { question: 'Alone?', ...LATER, idempotency_key: 'alone' },
    { question: 'First?', ...LATER, idempotency_key: 'first' },
    { question: 'First?', ...LATER, idempotency_key: 'first' },
    { question: 'Other?', ...LATER, idempotency_key: 'first' },
    { question: 'Keyless?', ...LATER },
    { question: 'Bad key?', ...LATER, idempotency_key: '' },
    { question: 'Bad key?', ...LATER, idempotency_key: 7 },
    { question: '', idempotency_key: 'bad' },
  ];
  const first = await outcomesOf(jobs);
  expect(first.map(({ status }) => status)).toEqual([200, 202, 200, 409, 202, 400, 400, 400]);
  expect(first).toMatchObject([
    { job: { id: (alone.body as JobView).id } },
    { job: { question: 'First?' } },
    { job: { question: 'First?', id: first[1]?.job.id } },
    { problem: { code: 'idempotency_key_reused' } },
    { job: { question: 'Keyless?' } },
    { problem: { code: 'invalid_request', flaws: [{ path: 'idempotency_key' }] } },
    { problem: { code: 'invalid_request' } },
    { problem: { code: 'invalid_request', flaws: [{ path: 'question' }] } },
  ]);
  const again = await outcomesOf(jobs);
  expect(again.map(({ status }) => status)).toEqual([200, 200, 200, 409, 202, 400, 400, 400]);
  expect(again[1]?.job.id).toBe(first[1]?.job.id);
});

it('the same bulk sent ten times at once enqueues its jobs once', async () => {
  const jobs = Array.from({ length: 50 }, (_, i) => ({
    question: `At once ${i}?`,
    idempotency_key: `once-${i}`,
  }));
  const answers = await Promise.all(Array.from({ length: 10 }, () => outcomesOf(jobs)));
  for (const i of jobs.keys()) {
    const statuses = answers.map((outcomes) => outcomes[i]?.status).toSorted();
    expect(statuses).toEqual([...Array(9).fill(200), 202]);
    expect(new Set(answers.map((outcomes) => outcomes[i]?.job.id)).size).toBe(1);
  }
  for (const { job } of answers[0] ?? []) await reached(instance.url, job.id, 'completed');
  expect(instance.simulator.ledger.totals().purchases).toBe(50);
});

it('a bulk of a thousand jobs with keys is answered in order, and so is its repeat', async () => {
  const jobs = Array.from({ length: 1000 }, (_, i) => ({
    question: `Many ${i}?`,
    ...LATER,
    idempotency_key: `many-${i}`,
  }));
  const first = await outcomesOf(jobs);
  expect(first.map(({ status, job }) => [status, job.question])).toEqual(
    jobs.map(({ question }) => [202, question]),
  );
  const again = await outcomesOf(jobs);
  expect(again.map(({ status, job }) => [status, job.id])).toEqual(first.map(({ job }) => [200, job.id]));
});

it.each([
  ['not an object', []],
  ['null', null],
  ['no jobs', {}],
  ['jobs that are no list', { jobs: { question: 'Why?' } }],
  ['something else beside them', { jobs: [], model: 'o3' }],
  ['more than 1,000', { jobs: Array.from({ length: 1001 }, () => ({ question: 'Too many?' })) }],
])('a malformed envelope is refused as a whole: %s', async (_what, body) => {
  expectProblem(await post(body), 400, 'invalid_request');
  const { body: page } = await call(instance.url, 'GET', '/jobs?q=too%20many');
  expect(page).toMatchObject({ jobs: [] });
});

it('an empty bulk is accepted, a body that is too large is refused, and GET is not allowed', async () => {
  expect(await outcomesOf([])).toEqual([]);
  expectProblem(await post({ jobs: [{ question: 'x'.repeat(1_100_000) }] }), 413, 'body_too_large');
  expect(await fetch(`${instance.url}/jobs/bulk`)).toMatchObject({ status: 405 });
  expectProblem(await call(instance.url, 'POST', '/jobs/bulk'), 415, 'unsupported_media_type');
});
