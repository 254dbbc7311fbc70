import { O3Client } from '../../../src/client/o3-client.ts';
import { defaultModels } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestCluster, type TestCluster } from '../../support/redis/redis-cluster.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

let cluster: TestCluster;
let instance: Instance;
let client: O3Client;

beforeAll(async () => {
  cluster = await startTestCluster();
  const { models } = quickModels();
  const sol = models['o3'];
  if (sol === undefined) throw new Error('o3 was expected to be configured');
  instance = await startInstance({
    redisUrl: cluster.url,
    models: { models: { ...models, sol: { ...sol, upstream: 'gpt-5.6-sol' } } },
  });
  client = new O3Client({ url: instance.url });
});
afterAll(async () => {
  await instance.stop();
  await cluster.stop();
});

test('on a Redis Cluster, jobs of two models run, are listed together, cancelled, retried and deleted', async () => {
  const first = await client.enqueue({ question: 'Why is the sky blue?' });
  const second = await client.enqueue({ question: 'Why is the sky dark?', model: 'sol' });
  expect(await client.wait(first.id)).toMatchObject({ status: 'completed', model: 'o3' });
  expect(await client.wait(second.id)).toMatchObject({ status: 'completed', model: 'sol' });

  const later = await client.enqueue({ question: 'Why is it late?', delay_ms: 3_600_000 });
  expect(await client.cancel(later.id)).toMatchObject({ status: 'cancelled' });
  await client.retry(later.id);
  expect(await client.wait(later.id)).toMatchObject({ status: 'completed' });

  const listed = await client.list({ limit: 10 });
  expect(listed.jobs.map(({ id }) => id)).toEqual([later.id, second.id, first.id]);
  await client.delete(first.id);
  expect((await client.list()).jobs.map(({ id }) => id)).toEqual([later.id, second.id]);
});

test('on a Redis Cluster, each model has the heartbeat of the worker', async () => {
  // A job that has just ended is in the worker's last heartbeat.
  await eventually(async () =>
    expect(await client.models()).toMatchObject([
      { model: 'o3', state: { status: 'open', workers: 1, free_slots: 50 } },
      { model: 'sol', state: { status: 'open', workers: 1, free_slots: 50 } },
    ]),
  );
});

test('on a Redis Cluster, an active job is cancelled by another node', async () => {
  const { id } = await client.enqueue({ question: 'Think for ever', metadata: { sim: 'stall' } });
  const waiting = client.wait(id);
  await client.cancel(id);
  expect(await waiting).toMatchObject({ status: 'cancelled' });
});

test('on a Redis Cluster, an idempotency key belongs to one job across all models', async () => {
  const ask = (model: string) =>
    client.enqueue({ question: 'Once?', model, delay_ms: 3_600_000 }, { idempotencyKey: 'once' });
  const answers = await Promise.allSettled(['o3', 'sol', 'o3', 'sol'].map(ask));
  const ids = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.id] : []));
  expect(ids).toHaveLength(2);
  expect(new Set(ids).size).toBe(1);
  expect((await client.list({ q: 'once?' })).jobs).toHaveLength(1);
});

test('on a Redis Cluster, a call of /v1 whose connection broke leaves its job to the next one', async () => {
  const ask = (signal?: AbortSignal) =>
    fetch(`${instance.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'o3', input: 'Broken?', metadata: { sim_think_ms: '1000' } }),
      ...(signal !== undefined && { signal }),
    });
  instance.simulator.ledger.reset();
  const gone = new AbortController();
  const broken = ask(gone.signal).catch(() => 'broken');
  await eventually(() => expect(instance.simulator.ledger.totals().purchases).toBe(1));
  gone.abort();
  expect(await broken).toBe('broken');
  expect(await (await ask()).json()).toMatchObject({ status: 'completed' });
  expect(instance.simulator.ledger.totals().purchases).toBe(1);
});

test('on a Redis Cluster, what a tenant has stored in one model counts for the others', async () => {
  const queue = new InstanceQueue({
    ...{ redisUrl: cluster.url, ...defaultModels(), models: instance.models.models },
    tenants: { alice: { weight: 1, onBudgetExhausted: 'wait', maxWaiting: 3 } },
  });
  try {
    const alice = queue.as({ tenant: 'alice', admin: false });
    const ask = (model: string) =>
      alice.enqueue(parseJobRequest({ question: 'Later?', model, delay_ms: 3_600_000 }));
    const [first] = await Promise.all([ask('o3'), ask('o3')]);
    await ask('sol');
    for (const model of ['o3', 'sol'])
      await expect(ask(model)).rejects.toMatchObject({ code: 'too_many_waiting' });
    await alice.cancel(first.job.id);
    await ask('sol');
    await expect(ask('o3')).rejects.toMatchObject({ code: 'too_many_waiting' });
  } finally {
    await queue.close();
  }
});
