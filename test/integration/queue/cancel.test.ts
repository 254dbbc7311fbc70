import { FlowProducer, QueueEvents } from 'bullmq';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { useIdleWorld } from '../../support/worlds/idle-world.ts';

const world = useIdleWorld();

describe.each([
  ['with no worker at all', async () => {}],
  [
    'with the queue paused',
    async () => {
      await world.o3.bullmq.pause();
      world.instance.addWorker();
    },
  ],
])('%s', (_where, arrange) => {
  it.each([
    ['waiting', {}],
    ['prioritized', { priority: 5 }],
    ['delayed', { delay_ms: 3_600_000 }],
  ])('a %s job is cancelled at once, for ever', async (_state, options) => {
    await arrange();
    const before = await enqueue(world.instance.url, { question: 'Before?' });
    const { id } = await enqueue(world.instance.url, { question: 'Never?', ...options });
    const after = await enqueue(world.instance.url, { question: 'After?' });
    const answer = await world.cancel(id);
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
    expect(await viewOf(world.instance.url, id)).toEqual(answer.body);
    expect(await world.cancel(id)).toMatchObject({ status: 200, body: answer.body });
    expectProblem(await call(world.instance.url, 'GET', `/jobs/${id}/result`), 409, 'job_cancelled');

    const inBullmq = await world.o3.bullmq.getJob(id);
    expect(await inBullmq?.getState()).toBe('failed');
    expect(inBullmq?.failedReason).toBe('cancelled: on request');
    expect(await world.o3.bullmq.getJobCounts()).toMatchObject({
      // BullMQ's state of the two jobs in the fair world.queue.
      delayed: 2,
      waiting: 0,
      prioritized: 0,
      failed: 1,
    });

    await world.o3.bullmq.resume();
    if (world.instance.workers.length === 0) world.instance.addWorker();
    await reached(world.instance.url, before.id, 'completed');
    await reached(world.instance.url, after.id, 'completed');
    expect(await viewOf(world.instance.url, id)).toEqual(answer.body);
    expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
  });
});

it('listeners to BullMQ get the event of a failed job for a cancelled one', async () => {
  const connection = world.redis.duplicate({ maxRetriesPerRequest: null });
  const events = new QueueEvents('{o3}', { connection, prefix: 'o3q' });
  await events.waitUntilReady();
  const heard = new Promise((resolve) => events.on('failed', resolve));
  const { id } = await enqueue(world.instance.url, { question: 'Never?' });
  // QueueEvents reads the stream from its end: events before its first read are not delivered.
  await eventually(async () => expect(await world.redis.client('LIST')).toContain('cmd=xread'));
  await world.cancel(id);
  expect(await heard).toMatchObject({ jobId: id, failedReason: 'cancelled: on request' });
  await events.close();
  connection.disconnect();
});

it('a cancelled job that is retried begins a new run with one purchase', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'After all?', priority: 4 });
  await world.cancel(id);
  const retried = await call(world.instance.url, 'POST', `/jobs/${id}/retry`);
  expect(retried).toMatchObject({ status: 202, body: { id, status: 'waiting', attempt: 0 } });
  expectProblem(await call(world.instance.url, 'POST', `/jobs/${id}/retry`), 409, 'job_not_finished');
  expect(await world.o3.bullmq.getJobCounts()).toMatchObject({ prioritized: 1, failed: 0 });
  expect((await world.queue.list({ status: 'cancelled' })).jobs).toEqual([]);
  expect((await world.queue.list({ status: 'waiting' })).jobs).toMatchObject([{ id }]);
  world.instance.addWorker();
  expect(await reached(world.instance.url, id, 'completed')).toMatchObject({ attempt: 1 });
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a job can be cancelled and retried again and again', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'Well?' });
  for (let i = 0; i < 5; i += 1) {
    expect(await world.cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await world.queue.retry(id)).toMatchObject({ status: 'waiting', attempt: 0 });
  }
  world.instance.addWorker();
  await reached(world.instance.url, id, 'completed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('of twenty retries at once one succeeds', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'Once?' });
  await world.cancel(id);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => call(world.instance.url, 'POST', `/jobs/${id}/retry`)),
  );
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
  for (const answer of answers.filter(({ status }) => status !== 202)) {
    expectProblem(answer, 409, 'job_not_finished');
  }
  world.instance.addWorker();
  await reached(world.instance.url, id, 'completed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a cancel of an active job answers 202, and the job is cancelled afterwards', async () => {
  const { id } = await enqueue(world.instance.url, { question: 'Held?' });
  const { job, token } = await world.take(id);
  expect(await world.cancel(id)).toMatchObject({ status: 202, body: { status: 'active', cancelling: true } });
  // BullMQ's own retry knows nothing of a cancel: the next start of the job finds the mark.
  await job.moveToFailed(new Error('a reset'), token);
  world.instance.addWorker();
  await reached(world.instance.url, id, 'cancelled');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 0 });
});

it('BullMQ tells the parent of a child job that the child was cancelled', async () => {
  const flows = new FlowProducer({ connection: world.redis, prefix: 'o3q' });
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
  expect(await world.cancel('child')).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  world.instance.addWorker();
  await reached(world.instance.url, String(flow.job.id), 'completed');
  expect(await viewOf(world.instance.url, 'child')).toMatchObject({ status: 'cancelled' });
  expect(await world.o3.bullmq.getJobState('child')).toBe('failed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('a cancelled job releases its BullMQ deduplication', async () => {
  const add = () =>
    world.o3.bullmq.add('Only one?', { question: 'Only one?' }, { deduplication: { id: 'one' } });
  const first = await add();
  expect((await add()).id).toBe(first.id);
  expect(await world.cancel(`o3:${first.id}`)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
  world.instance.addWorker();
  await eventually(async () => expect(await world.o3.bullmq.getJobState(String(first.id))).toBe('failed'));
  const second = await add();
  expect(second.id).not.toBe(first.id);
  await reached(world.instance.url, `o3:${second.id}`, 'completed');
  expect(world.instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
});

it('the answer to a retry never shows the old end, however quick the worker is', async () => {
  world.instance.addWorker();
  for (let round = 0; round < 30; round += 1) {
    const { id } = await enqueue(world.instance.url, { question: 'Again?', delay_ms: 3_600_000 });
    await world.cancel(id);
    const { body } = await call(world.instance.url, 'POST', `/jobs/${id}/retry`);
    expect(['waiting', 'active', 'completed']).toContain((body as { status: string }).status);
  }
});
