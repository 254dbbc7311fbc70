import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer, type Job, QueueEvents } from 'bullmq';
import { Redis } from 'ioredis';
import type { GiveBackTarget } from '../../../src/fair-queue/fair-queue.ts';
import { type FinishedStatus, isFinishedJob } from '../../../src/job/job.ts';
import type { JobData } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { type BareWorker, createBareWorker } from '../../support/worker/bare-worker.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** For 300 jobs and 900 requests in one process: 5 s on an idle machine, 27 s at a load of ten. */
const LIMIT_MS = 120_000;

const bareWorkers: BareWorker[] = [];
let instance: Instance;
let redis: Redis;
let queue: InstanceQueue;
let o3: ModelQueue;

beforeEach(async () => {
  instance = await startInstance({ workers: 0 });
  redis = new Redis(instance.redis.url);
  queue = new InstanceQueue({ redisUrl: instance.redis.url, ...instance.models });
  const [first] = queue.queues;
  if (first === undefined) throw new Error('expected a queue');
  o3 = first;
});

afterEach(async () => {
  for (const worker of bareWorkers.splice(0)) await worker.close();
  await queue.close();
  redis.disconnect();
  await instance.stop();
});

const cancel = (id: string): Promise<Answer> => call(instance.url, 'POST', `/jobs/${id}/cancel`);

async function take(id: string): Promise<{ job: Job<JobData>; token: string }> {
  const worker = createBareWorker(instance.redis.url);
  bareWorkers.push(worker);
  const token = 'bare-worker:1';
  const job = await worker.take(token);
  expect(job.id).toBe(id);
  return { job, token };
}

describe.each([
  ['with no worker at all', async () => {}],
  [
    'with the queue paused',
    async () => {
      await o3.bullmq.pause();
      instance.addWorker();
    },
  ],
])('%s', (_where, arrange) => {
  it.each([
    ['waiting', {}],
    ['prioritized', { priority: 5 }],
    ['delayed', { delay_ms: 3_600_000 }],
  ])('a %s job is cancelled at once, for ever', async (_state, options) => {
    await arrange();
    const before = await enqueue(instance.url, { question: 'Before?' });
    const { id } = await enqueue(instance.url, { question: 'Never?', ...options });
    const after = await enqueue(instance.url, { question: 'After?' });
    const answer = await cancel(id);
    expect(answer).toMatchObject({
      status: 200,
      body: {
        id,
        status: 'cancelled',
        started_at: null,
        duration_ms: 0,
        attempt: 0,
        upstream_id: null,
        usage: null,
      },
    });
    expect(await viewOf(instance.url, id)).toEqual(answer.body);
    expect(await cancel(id)).toMatchObject({ status: 200, body: answer.body });
    expectProblem(await call(instance.url, 'GET', `/jobs/${id}/result`), 409, 'job_cancelled');

    const inBullmq = await o3.bullmq.getJob(id);
    expect(await inBullmq?.getState()).toBe('failed');
    expect(inBullmq?.failedReason).toBe('cancelled: on request');
    expect(await o3.bullmq.getJobCounts()).toMatchObject({
      // BullMQ's state of the two jobs in the fair queue.
      delayed: 2,
      waiting: 0,
      prioritized: 0,
      failed: 1,
    });

    await o3.bullmq.resume();
    if (instance.workers.length === 0) instance.addWorker();
    await reached(instance.url, before.id, 'completed');
    await reached(instance.url, after.id, 'completed');
    expect(await viewOf(instance.url, id)).toEqual(answer.body);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
  });
});

it('listeners to BullMQ get the event of a failed job for a cancelled one', async () => {
  const connection = redis.duplicate({ maxRetriesPerRequest: null });
  const events = new QueueEvents('{o3}', { connection, prefix: 'o3q' });
  await events.waitUntilReady();
  const heard = new Promise((resolve) => events.on('failed', resolve));
  const { id } = await enqueue(instance.url, { question: 'Never?' });
  // QueueEvents reads the stream from its end: events before its first read are not delivered.
  await eventually(async () => expect(await redis.client('LIST')).toContain('cmd=xread'));
  await cancel(id);
  expect(await heard).toMatchObject({ jobId: id, failedReason: 'cancelled: on request' });
  await events.close();
  connection.disconnect();
});

it('a cancelled job that is retried begins a new run with one purchase', async () => {
  const { id } = await enqueue(instance.url, { question: 'After all?', priority: 4 });
  await cancel(id);
  const retried = await call(instance.url, 'POST', `/jobs/${id}/retry`);
  expect(retried).toMatchObject({ status: 202, body: { id, status: 'waiting', attempt: 0 } });
  expectProblem(await call(instance.url, 'POST', `/jobs/${id}/retry`), 409, 'job_not_finished');
  expect(await o3.bullmq.getJobCounts()).toMatchObject({ prioritized: 1, failed: 0 });
  expect((await queue.list({ status: 'cancelled' })).jobs).toEqual([]);
  expect((await queue.list({ status: 'waiting' })).jobs).toMatchObject([{ id }]);
  instance.addWorker();
  expect(await reached(instance.url, id, 'completed')).toMatchObject({ attempt: 1 });
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a job can be cancelled and retried again and again', async () => {
  const { id } = await enqueue(instance.url, { question: 'Well?' });
  for (let i = 0; i < 5; i += 1) {
    expect(await cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await queue.retry(id)).toMatchObject({ status: 'waiting', attempt: 0 });
  }
  instance.addWorker();
  await reached(instance.url, id, 'completed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('of twenty retries at once one succeeds', async () => {
  const { id } = await enqueue(instance.url, { question: 'Once?' });
  await cancel(id);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call(instance.url, 'POST', `/jobs/${id}/retry`)),
  );
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
  for (const answer of answers.filter(({ status }) => status !== 202)) {
    expectProblem(answer, 409, 'job_not_finished');
  }
  instance.addWorker();
  await reached(instance.url, id, 'completed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a cancel of an active job answers 202, and the job is cancelled afterwards', async () => {
  const { id } = await enqueue(instance.url, { question: 'Held?' });
  const { job, token } = await take(id);
  expect(await cancel(id)).toMatchObject({ status: 202, body: { status: 'active', cancelling: true } });
  // BullMQ's own retry knows nothing of a cancel: the next start of the job finds the mark.
  await job.moveToFailed(new Error('a reset'), token);
  instance.addWorker();
  await reached(instance.url, id, 'cancelled');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 0 });
});

const TARGETS: GiveBackTarget[] = [
  { kind: 'first' },
  { kind: 'fair-queue' },
  { kind: 'delayed', dueAt: Date.now() + 3_600_000, failedReason: 'a reset' },
];

describe.each(TARGETS)('a worker that gives a job back ($kind)', (target) => {
  const queuedJob = (id: string) => ({
    id,
    tenant: '',
    createdAt: Date.now(),
    priority: 0,
    deadlineAt: undefined,
  });

  it('keeps a job that was cancelled before, to end it', async () => {
    const { id } = await enqueue(instance.url, { question: 'Before?' });
    const { token } = await take(id);
    expect(await cancel(id)).toMatchObject({ status: 202 });
    expect(await o3.fairQueue.giveBack(queuedJob(id), token, target)).toBe('cancel-requested');
    expect(await viewOf(instance.url, id)).toMatchObject({ status: 'active', cancelling: true });
    expect(await redis.get(o3.keys.lock(id))).toBe(token);
  });

  it('leaves a job that is cancelled after that to the cancel, which ends it', async () => {
    const { id } = await enqueue(instance.url, { question: 'After?' });
    const { token } = await take(id);
    expect(await o3.fairQueue.giveBack(queuedJob(id), token, target)).toBe('ok');
    expect(await cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect((await queue.list({ status: 'cancelled' })).jobs).toMatchObject([{ id }]);
    expect(await o3.bullmq.getJobCounts()).toMatchObject({ failed: 1, active: 0, delayed: 0, waiting: 0 });
  });

  it('misses no cancel when both come at once', async () => {
    const { token } = await take((await enqueue(instance.url, { question: 'At once 0?' })).id);
    for (let i = 1; i <= 50; i += 1) {
      const { id } = await enqueue(instance.url, { question: `At once ${i}?` });
      await bareWorkers[0]?.take(token);
      const giveBack = () => o3.fairQueue.giveBack(queuedJob(id), token, target);
      const [answer, { outcome }] = await Promise.all(
        i % 2 === 0
          ? [giveBack(), queue.cancel(id)]
          : [giveBack(), sleep(i / 50).then(() => queue.cancel(id))],
      );
      expect([answer, outcome]).toEqual(answer === 'ok' ? ['ok', 'cancelled'] : ['cancel', 'cancelling']);
    }
  });

  it('does nothing when another worker has the job', async () => {
    const { id } = await enqueue(instance.url, { question: 'Whose?' });
    const { token } = await take(id);
    expect(await o3.fairQueue.giveBack(queuedJob(id), 'another token', target)).toBe('lock-lost');
    expect(await redis.get(o3.keys.lock(id))).toBe(token);
    expect(await o3.bullmq.getJobState(id)).toBe('active');
  });
});

it('BullMQ tells the parent of a child job that the child was cancelled', async () => {
  const flows = new FlowProducer({ connection: redis, prefix: 'o3q' });
  const flow = await flows.add({
    name: 'Parent?',
    queueName: '{o3}',
    data: { question: 'Parent?' },
    children: [
      {
        name: 'Child?',
        queueName: '{o3}',
        data: { question: 'Child?' },
        opts: { jobId: 'child', ignoreDependencyOnFailure: true },
      },
    ],
  });
  expect(await cancel('child')).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  instance.addWorker();
  await reached(instance.url, String(flow.job.id), 'completed');
  expect(await viewOf(instance.url, 'child')).toMatchObject({ status: 'cancelled' });
  expect(await o3.bullmq.getJobState('child')).toBe('failed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a cancelled job releases its BullMQ deduplication', async () => {
  const add = () => o3.bullmq.add('Only one?', { question: 'Only one?' }, { deduplication: { id: 'one' } });
  const first = await add();
  expect((await add()).id).toBe(first.id);
  expect(await cancel(`o3:${first.id}`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  instance.addWorker();
  await eventually(async () => expect(await o3.bullmq.getJobState(String(first.id))).toBe('failed'));
  const second = await add();
  expect(second.id).not.toBe(first.id);
  await reached(instance.url, `o3:${second.id}`, 'completed');
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it(
  'each of 300 jobs cancelled at random ends once, and is not bought after its cancel',
  async () => {
    const count = 300;
    instance.addWorker();
    const asked = new Map<string, { outcome: string; at: number }>();
    const ended = new Map<string, FinishedStatus>();
    const random = randomFrom(20251123);
    const requests = Array.from({ length: count }, (_, i) => ({
      question: `Number ${i}?`,
      metadata: { number: String(i), sim_think_ms: '25' },
      ...(i % 5 === 1 && { priority: 1 + (i % 3) }),
      ...(i % 5 === 2 && { delay_ms: i % 200 }),
    }));
    const ids = (await queue.enqueueBulk(requests)).map((outcome) => (outcome.ok ? outcome.job.id : ''));

    // Every end is announced once. The view at that moment must never change.
    const listener = redis.duplicate();
    const announced: string[] = [];
    listener.on('message', (_channel, id) => announced.push(id));
    await listener.subscribe('o3q:finished:{o3}');

    const cancelAndLook = async (id: string): Promise<void> => {
      const answer = await cancel(id);
      asked.set(id, { outcome: outcomeOf(answer), at: Date.now() });
      const view = await viewOf(instance.url, id);
      if (isFinishedJob(view)) ended.set(id, view.status);
    };
    // Progress chooses the moment of each cancel, not time: after so many jobs have ended.
    const turns = ids
      .map((id) => ({ id, after: Math.floor(random() * count * 0.7) }))
      .sort((one, other) => one.after - other.after);
    const cancels: Promise<void>[] = [];
    await eventually(async () => {
      const done = count - (await redis.zcard('o3q:index:{o3}:live'));
      while ((turns[0]?.after ?? count) <= done) cancels.push(cancelAndLook(turns.shift()?.id ?? ''));
      expect(turns).toEqual([]);
    }, LIMIT_MS);
    await Promise.all(cancels);
    await eventually(async () => expect(await redis.zcard('o3q:index:{o3}:live')).toBe(0), LIMIT_MS);

    const statuses: Record<string, number> = {};
    const byNumber = new Map<string, number[]>();
    for (const { metadata, created_at } of instance.simulator.ledger.entries()) {
      const number = metadata['number'] ?? '';
      byNumber.set(number, [...(byNumber.get(number) ?? []), created_at]);
    }
    for (const [i, id] of ids.entries()) {
      const view = await viewOf(instance.url, id);
      statuses[view.status] = (statuses[view.status] ?? 0) + 1;
      expect(['completed', 'cancelled']).toContain(view.status);
      expect(ended.get(id) ?? view.status).toBe(view.status);
      const ask = asked.get(id);
      if (ask?.outcome === 'finished') expect(view.status).toBe('completed');
      else expect(view.status).toBe('cancelled');
      const purchases = byNumber.get(String(i)) ?? [];
      expect(purchases.length).toBeLessThanOrEqual(1);
      if (ask?.outcome === 'cancelled' && 'started_at' in view && view.started_at === null) {
        expect(purchases).toEqual([]);
      }
      for (const at of purchases) if (ask?.outcome === 'cancelled') expect(at).toBeLessThanOrEqual(ask.at);
    }
    await eventually(() => expect(announced.toSorted()).toEqual(ids.toSorted()));
    expect(Object.keys(statuses).sort()).toEqual(['cancelled', 'completed']);
    // Workers tell BullMQ of each end right after our record.
    await eventually(async () =>
      expect(await o3.bullmq.getJobCounts()).toMatchObject({
        ...{ waiting: 0, active: 0, delayed: 0, prioritized: 0 },
        completed: statuses['completed'],
        failed: statuses['cancelled'],
      }),
    );
    listener.disconnect();
  },
  LIMIT_MS,
);

function outcomeOf({ status, body }: Answer): 'cancelled' | 'cancelling' | 'finished' {
  if (status === 409) return 'finished';
  expect([200, 202]).toContain(status);
  if (status === 200) expect((body as JobView).status).toBe('cancelled');
  return status === 200 ? 'cancelled' : 'cancelling';
}

/** A small random generator (mulberry32) with a seed, so that a failed run can be repeated. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

it('the answer to a retry never shows the old end, however quick the worker is', async () => {
  instance.addWorker();
  for (let round = 0; round < 30; round += 1) {
    const { id } = await enqueue(instance.url, { question: 'Again?', delay_ms: 3_600_000 });
    await cancel(id);
    const { body } = await call(instance.url, 'POST', `/jobs/${id}/retry`);
    expect(['waiting', 'active', 'completed']).toContain((body as { status: string }).status);
  }
});
