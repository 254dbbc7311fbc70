import { Redis } from 'ioredis';
import type { JobView } from '../../../src/job/view.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Its response begins, and then says nothing more. */
const STALLED = { sim: 'stall', sim_events: '3' };

let instance: Instance;
let redis: Redis;

beforeEach(async () => {
  instance = await startInstance();
  redis = new Redis(instance.redis.url);
});
afterEach(async () => {
  redis.disconnect();
  await instance.stop();
});

const waitFor = (id: string, seconds: number, signal?: AbortSignal): Promise<Answer> =>
  call(instance.url, 'GET', `/jobs/${id}/result?wait=${seconds}`, { ...(signal && { signal }) });

/** Resolves when so many callers are held: the producer has subscribed, and they have all been sent. */
async function subscribed(): Promise<void> {
  await eventually(async () => {
    const { finishedChannel } = keysOf('o3q', 'o3');
    expect(await redis.pubsub('NUMSUB', finishedChannel)).toEqual([finishedChannel, 1]);
  });
}

it('a call that waits gets the answer that comes in time', async () => {
  const answer = await call(instance.url, 'POST', '/jobs?wait=60', { body: { question: 'Quick?' } });
  expect(answer).toMatchObject({
    status: 200,
    body: { status: 'completed', result: { answer_preview: expect.stringContaining('Quick?') } },
  });
  const { id } = answer.body as JobView;
  expect(answer.headers['location']).toBe(`/jobs/${id}`);
  expect(await waitFor(id, 60)).toMatchObject({ status: 200, body: { model: 'o3' } });
});

it('a call that waits gets the failure that comes in time', async () => {
  const body = { question: 'Bad?', metadata: { sim: '400' } };
  const answer = await call(instance.url, 'POST', '/jobs?wait=60', { body });
  expect(answer).toMatchObject({ status: 200, body: { status: 'failed' } });
  expectProblem(await waitFor((answer.body as JobView).id, 60), 409, 'job_failed');
});

it('a call that waits gets the unfinished job when its time is up, and the job still runs', async () => {
  const body = { question: 'Slow?', metadata: STALLED };
  const answer = await call(instance.url, 'POST', '/jobs?wait=0.3', { body });
  expect(answer).toMatchObject({ status: 202, body: { status: 'active' } });
  expect(answer.tookMs).toBeGreaterThanOrEqual(299);
  const { id } = answer.body as JobView;
  expect(await waitFor(id, 0.2)).toMatchObject({ status: 202, body: { id, status: 'active' } });
  expect(await viewOf(instance.url, id)).toMatchObject({ status: 'active', cancelling: false });
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1, running: 1 });
});

it('a call without a wait or with a wait of 0 is answered at once', async () => {
  await instance.stopWorker(firstWorker());
  for (const query of ['', '?wait=0', '?wait=0.0']) {
    const answer = await call(instance.url, 'POST', `/jobs${query}`, { body: { question: 'Now?' } });
    expect(answer).toMatchObject({ status: 202, body: { status: 'waiting' } });
  }
});

it('all callers that wait for one job are answered', async () => {
  await instance.stopWorker(firstWorker());
  const { id } = await enqueue(instance.url, { question: 'Together?' });
  const waiting = Array.from({ length: 30 }, () => waitFor(id, 60));
  await subscribed();
  instance.addWorker();
  for (const answer of await Promise.all(waiting)) {
    expect(answer).toMatchObject({ status: 200, body: { answer: expect.stringContaining('Together?') } });
  }
});

it('each of many waiting callers gets the answer of its own job', async () => {
  const questions = Array.from({ length: 40 }, (_, i) => `Number ${i}?`);
  const answers = await Promise.all(
    questions.map((question) => call(instance.url, 'POST', '/jobs?wait=60', { body: { question } })),
  );
  expect(answers.map(({ status }) => status)).toEqual(questions.map(() => 200));
  expect(answers.map(({ body }) => (body as JobView).question)).toEqual(questions);
});

it.each([
  ['waiting', {}],
  ['prioritized', { priority: 5 }],
  ['delayed', { delay_ms: 3_600_000 }],
])(
  'a caller that waits for a %s job is told of its cancel at once, without a worker',
  async (_what, options) => {
    await instance.stopWorker(firstWorker());
    const { id } = await enqueue(instance.url, { question: 'Never?', ...options });
    const waiting = waitFor(id, 300);
    await subscribed();
    expect(await call(instance.url, 'POST', `/jobs/${id}/cancel`)).toMatchObject({ status: 200 });
    expectProblem(await waiting, 409, 'job_cancelled');
  },
);

it('a caller that waits for a job is told when the job is deleted', async () => {
  await instance.stopWorker(firstWorker());
  const { id } = await enqueue(instance.url, { question: 'Never?' });
  await call(instance.url, 'POST', `/jobs/${id}/cancel`);
  await call(instance.url, 'DELETE', `/jobs/${id}`);
  expectProblem(await waitFor(id, 300), 404, 'job_not_found');
});

it('a client that disconnects does not delay the stop of the producer, and its job still runs', async () => {
  const body = { question: 'Gone?', metadata: STALLED };
  const { id } = await enqueue(instance.url, body);
  const gone = new AbortController();
  const asking = [
    call(instance.url, 'POST', '/jobs?wait=300', { body, signal: gone.signal }),
    waitFor(id, 300, gone.signal),
  ];
  await subscribed();
  await eventually(() => expect(instance.simulator.ledger.totals().running).toBe(2));
  gone.abort();
  await Promise.all(asking.map((call) => expect(call).rejects.toThrow('aborted')));
  await reached(instance.url, id, 'active');
  instance.producer.quiet?.();
  await instance.producer.drain?.();
  expect(instance.simulator.ledger.totals().running).toBe(2);
  expect(instance.logLines.filter((line) => line.includes('"error"'))).toEqual([]);
});

it('waiting callers get the unfinished job when the producer is asked to stop', async () => {
  const body = { question: 'Slow?', metadata: STALLED };
  const posted = call(instance.url, 'POST', '/jobs?wait=300', { body });
  await eventually(() => expect(instance.simulator.ledger.totals().running).toBe(1));
  await subscribed();
  instance.producer.quiet?.();
  expect(await posted).toMatchObject({ status: 202, body: { status: 'active' } });
  await instance.producer.drain?.();
});

it('an end that was published during a lost connection is found when the connection is back', async () => {
  await instance.stopWorker(firstWorker());
  const { id } = await enqueue(instance.url, { question: 'Missed?' });
  const waiting = waitFor(id, 300);
  await subscribed();
  // The message is lost: the connection that would bring it is cut in the same step in which the job ends.
  const cut = await redis
    .multi([
      ['client', 'kill', 'type', 'pubsub'],
      ['hset', `o3q:run:{o3}:${id}`, 'status', 'cancelled', 'finished_at', '1', 'stalled', '-1'],
    ])
    .exec();
  expect(cut?.[0]).toEqual([null, 1]);
  expectProblem(await waiting, 409, 'job_cancelled');
  await subscribed();
});

function firstWorker(): Instance['workers'][number] {
  const [worker] = instance.workers;
  if (worker === undefined) throw new Error('expected a worker');
  return worker;
}
