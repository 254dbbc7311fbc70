import { createSimulator } from '../../../simulator/simulator.ts';
import type { ModelConfig, TenantConfig } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { JobView, WaitingJob } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

const SLOW = { sim_think_ms: '60000' };

let world: WorkerWorld;
afterEach(() => world.stop());

function limited(model: Partial<ModelConfig>, tenants: Record<string, Partial<TenantConfig>> = {}) {
  const { models } = quickModels();
  const defaults: TenantConfig = {
    weight: 1,
    maxInFlight: undefined,
    dailyBudgetUsd: undefined,
    onBudgetExhausted: 'wait',
  };
  return {
    models: Object.fromEntries(
      Object.entries(models).map(([name, config]) => [name, { ...config, ...model }]),
    ),
    tenants: Object.fromEntries(
      Object.entries(tenants).map(([name, tenant]) => [name, { ...defaults, ...tenant }]),
    ),
  };
}

/** Resolves when the job waits for what the words say. */
async function waitsFor(id: string, words: string): Promise<WaitingJob> {
  return eventually(async () => {
    const view = await world.queue.get(id);
    expect(view).toMatchObject({ status: 'waiting', waiting_for: expect.stringContaining(words) });
    return view as WaitingJob;
  });
}

async function askAs(
  tenant: string,
  question: string,
  metadata: Record<string, string> = SLOW,
  stream = true,
): Promise<JobView> {
  const request = parseJobRequest({ question, metadata, stream });
  return (await world.queue.as({ tenant, admin: false }).enqueue(request)).job;
}

/** Until it has a response at the upstream. */
const running = (id: string) => world.running(id);

describe('a job says why it waits', () => {
  it('a job waits for a worker when there is none', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const { id } = await world.ask('Anybody?');
    expect(await waitsFor(id, 'a worker: none is running')).toMatchObject({ position: 1, eta_ms: null });
  });

  it('a job waits for a worker when each has as many jobs as it may hold', async () => {
    world = await startWorkerWorld({ concurrency: 1 });
    await running((await world.ask('First?', SLOW)).id);
    const { id } = await world.ask('Second?', SLOW);
    await waitsFor(id, 'a free worker');
  });

  it('a job waits for a paused queue to be resumed', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const { id } = await world.ask('Paused?');
    await world.model().bullmq.pause();
    await waitsFor(id, 'the queue to be resumed');
  });

  it('a job waits for the limit of requests per minute', async () => {
    world = await startWorkerWorld({ models: limited({ requestsPerMinute: 1 }) });
    await world.finished((await world.ask('First?')).id);
    const { id } = await world.ask('Second?');
    const view = await waitsFor(id, 'rate limit of o3 (1 request per minute)');
    expect(view.eta_ms).not.toBeNull();
    expect(view.eta_basis).toContain('limit of 1 request per minute');
  });

  it('a job waits for the limit of tokens per minute', async () => {
    world = await startWorkerWorld({ models: limited({ tokensPerMinute: 900 }) });
    await world.finished((await world.ask('First?', { sim_output_tokens: '800' })).id);
    await waitsFor(
      (await world.ask('Second?', { sim_output_tokens: '800' })).id,
      'rate limit of o3 (900 tokens per minute)',
    );
  });

  it('a job waits for the limit of responses in flight', async () => {
    world = await startWorkerWorld({ models: limited({ maxInFlight: 2 }) });
    const first = await world.ask('First?', SLOW);
    await running(first.id);
    await running((await world.ask('Second?', SLOW)).id);
    const { id } = await world.ask('Third?');
    await waitsFor(id, 'o3 is at its limit of 2 responses in flight');
    await world.queue.cancel(first.id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  });

  it('a job waits for the limit of its tenant, while other tenants go on', async () => {
    world = await startWorkerWorld({ models: limited({}, { alice: { maxInFlight: 1 } }) });
    const first = await askAs('alice', 'First?');
    await running(first.id);
    const { id } = await askAs('alice', 'Second?', {});
    await waitsFor(id, 'tenant alice is at its limit of 1 job in flight');
    await world.finished((await askAs('bob', 'Mine?', {})).id);
    expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    await world.queue.cancel(first.id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  });

  it('a job waits for the budget of its tenant, while other tenants go on', async () => {
    // Each job of alice is expected to cost about 0.008 dollars.
    world = await startWorkerWorld({ models: limited({}, { alice: { dailyBudgetUsd: 0.02 } }) });
    const usual = { sim_output_tokens: '1000', sim_reasoning_tokens: '0' };
    await world.finished((await askAs('bob', 'Is there a background mode?', usual)).id);
    world.gate.shut(({ method }) => method === 'GET');
    const first = await askAs('alice', 'First?', {}, false);
    await running(first.id);
    await running((await askAs('alice', 'Second?')).id);
    const { id } = await askAs('alice', 'How much?', {});
    await waitsFor(id, 'the daily budget of alice ($0.02) is used up or reserved until ');
    await world.finished((await askAs('bob', 'Mine?', {})).id);
    expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    // It has cost less than expected.
    world.gate.open();
    await world.finished(first.id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  });

  it('a job waits for the end of a 429, which costs no attempt', async () => {
    world = await startWorkerWorld();
    world.simulator.setWeather({ throttle_ms: 4000 });
    const { id } = await world.ask('Too many?');
    await waitsFor(id, 'rate limit until ');
    const other = await world.ask('Me too?');
    await waitsFor(other.id, 'rate limit until ');
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    await world.finished(other.id);
    // Only the first create request; no worker has asked during the throttling.
    expect(world.simulator.ledger.totals()).toMatchObject({ during_throttle: 1, purchases: 2 });
  });

  it('a job waits for money until the model is resumed by hand', async () => {
    world = await startWorkerWorld();
    world.simulator.setWeather({ money: 'out' });
    const { id } = await world.ask('How much?');
    await waitsFor(id, 'quota exhausted');
    world.simulator.setWeather({ money: 'in' });
    await world.queue.resume('o3');
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  });

  it('a job waits for an unreachable upstream, which costs no attempt', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const port = Number(new URL(world.upstreamUrl).port);
    await world.simulator.close();
    // Without the gate, which would accept the connection and then break it.
    world.addWorker({ gated: false });
    const { id } = await world.ask('Hello?');
    await waitsFor(id, 'the upstream is unreachable or overloaded');
    const revived = createSimulator({ thinkMs: 30 });
    await revived.listen(port);
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    await revived.close();
  });

  it('a job waits for its turn behind earlier jobs', async () => {
    world = await startWorkerWorld({ models: limited({ requestsPerMinute: 1 }) });
    await world.finished((await world.ask('First?')).id);
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) ids.push((await world.ask(`Next ${i}?`)).id);
    const bob = await askAs('bob', 'Fair?');
    // One of the other jobs has just started.
    expect(await waitsFor(bob.id, 'request per minute')).toMatchObject({ position: 1 });
    expect(await waitsFor(ids[0] ?? '', 'request per minute')).toMatchObject({ position: 2 });
    const last = await waitsFor(ids[2] ?? '', 'request per minute');
    expect(last).toMatchObject({ position: 4 });
    expect(last.eta_ms).toBeGreaterThan(120_000);
  });
});

it('a job whose deadline passes in the fair queue fails there', async () => {
  world = await startWorkerWorld({ models: limited({ maxInFlight: 1 }) });
  await running((await world.ask('First?', SLOW)).id);
  const { id } = await world.ask('Soon?', {}, { deadline: new Date(Date.now() + 500).toISOString() });
  await waitsFor(id, 'is at its limit of 1 response in flight');
  expect(await world.finished(id)).toMatchObject({
    status: 'failed',
    error: { code: 'deadline_passed', message: expect.stringContaining('nothing was running') },
    purchases: 0,
  });
});

it('a tenant without budget is refused where the configuration says so, but still finds its earlier jobs', async () => {
  world = await startWorkerWorld({
    models: limited({}, { alice: { dailyBudgetUsd: 0.02, onBudgetExhausted: 'refuse' } }),
  });
  const alice = world.queue.as({ tenant: 'alice', admin: false });
  const request = { question: 'How much?', metadata: { sim_output_tokens: '3000' } };
  const { job } = await alice.enqueue(parseJobRequest(request), 'key');
  await world.finished(job.id);
  const refused = {
    code: 'budget_exhausted',
    message: expect.stringContaining('The daily budget of alice ($0.02) is used up until midnight UTC: '),
  };
  await expect(alice.enqueue(parseJobRequest({ question: 'More?' }))).rejects.toMatchObject(refused);
  expect(await alice.enqueueBulk([{ question: 'More?' }])).toMatchObject([{ ok: false, error: refused }]);
  expect(await alice.enqueue(parseJobRequest(request), 'key')).toMatchObject({
    isNew: false,
    job: { id: job.id },
  });
  await world.finished((await askAs('bob', 'Mine?', {})).id);
});

it('a watcher of a waiting job sees each new position', async () => {
  world = await startWorkerWorld({ models: limited({ maxInFlight: 1 }) });
  const first = await world.ask('First?', SLOW);
  await running(first.id);
  const second = await world.ask('Second?', SLOW);
  const { id } = await world.ask('Third?', { sim_think_ms: '10' });
  await waitsFor(id, 'is at its limit of 1 response in flight');
  const places: unknown[] = [];
  const signal = new AbortController().signal;
  for await (const event of await world.queue.watch(id, { after: 0, signal })) {
    if (event.kind !== 'status') continue;
    if (event.view.status === 'waiting' && event.view.position !== null) {
      places.push(event.view.position);
      if (event.view.position === 2) await world.queue.cancel(first.id);
      if (event.view.position === 1) await world.queue.cancel(second.id);
    }
  }
  expect([...new Set(places)]).toEqual([2, 1]);
});
