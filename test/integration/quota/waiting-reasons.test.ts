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

/** The job while it waits for what the words say. */
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
): Promise<JobView> {
  return (await world.queue.as({ tenant, admin: false }).enqueue(parseJobRequest({ question, metadata })))
    .job;
}

/** Until it has a response at the upstream. */
const running = (id: string) => world.running(id);

describe('a job says why it waits', () => {
  it('for a worker, when there is none', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const { id } = await world.ask('Anybody?');
    expect(await waitsFor(id, 'a free worker')).toMatchObject({ position: 1, eta_ms: null });
  });

  it('for a worker, when each has as many jobs as it may hold', async () => {
    world = await startWorkerWorld({ concurrency: 1 });
    await running((await world.ask('First?', SLOW)).id);
    const { id } = await world.ask('Second?', SLOW);
    await waitsFor(id, 'a free worker');
  });

  it('for the queue, when somebody has paused it', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const { id } = await world.ask('Paused?');
    await world.model().bullmq.pause();
    await waitsFor(id, 'the queue to be resumed');
  });

  it('for requests of the minute', async () => {
    world = await startWorkerWorld({ models: limited({ requestsPerMinute: 1 }) });
    await world.finished((await world.ask('First?')).id);
    const { id } = await world.ask('Second?');
    const view = await waitsFor(id, 'rate limit of o3 (1 request per minute)');
    expect(view.eta_ms).not.toBeNull();
    expect(view.eta_basis).toContain('limit of 1 request per minute');
  });

  it('for tokens of the minute', async () => {
    world = await startWorkerWorld({ models: limited({ tokensPerMinute: 900 }) });
    await world.finished((await world.ask('First?', { sim_output_tokens: '800' })).id);
    await waitsFor(
      (await world.ask('Second?', { sim_output_tokens: '800' })).id,
      'rate limit of o3 (900 tokens per minute)',
    );
  });

  it('for a response to end, when as many run as may', async () => {
    world = await startWorkerWorld({ models: limited({ maxInFlight: 2 }) });
    const first = await world.ask('First?', SLOW);
    await running(first.id);
    await running((await world.ask('Second?', SLOW)).id);
    const { id } = await world.ask('Third?');
    await waitsFor(id, 'o3 is at its limit of 2 responses in flight');
    await world.queue.cancel(first.id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  });

  it('for a job of its own tenant to end, while others go on', async () => {
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

  it('for the budget of its tenant, while others go on', async () => {
    // Each of alice's is expected to cost some 0.008 dollars.
    world = await startWorkerWorld({ models: limited({}, { alice: { dailyBudgetUsd: 0.02 } }) });
    const first = await askAs('alice', 'First?');
    await running(first.id);
    await running((await askAs('alice', 'Second?')).id);
    const { id } = await askAs('alice', 'How much?', {});
    await waitsFor(id, 'the daily budget of alice ($0.02) is used up or reserved until ');
    await world.finished((await askAs('bob', 'Mine?', {})).id);
    expect(await world.queue.get(id)).toMatchObject({ status: 'waiting' });
    // It has cost less than was expected of it.
    await world.queue.cancel(first.id);
    expect(await world.finished(id)).toMatchObject({ status: 'completed' });
  });

  it('for the end of a throttling, which is no attempt', async () => {
    world = await startWorkerWorld();
    world.simulator.setWeather({ throttle_ms: 1500 });
    const { id } = await world.ask('Too many?');
    await waitsFor(id, 'rate limit until ');
    const other = await world.ask('Me too?');
    await waitsFor(other.id, 'rate limit until ');
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    await world.finished(other.id);
    // The one that learnt of it; nobody has asked again.
    expect(world.simulator.ledger.totals()).toMatchObject({ during_throttle: 1, purchases: 2 });
  });

  it('for money, until somebody says that there is some again', async () => {
    world = await startWorkerWorld();
    world.simulator.setWeather({ money: 'out' });
    const { id } = await world.ask('How much?');
    await waitsFor(id, 'quota exhausted');
    world.simulator.setWeather({ money: 'in' });
    await world.queue.resume('o3');
    expect(await world.finished(id)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
  });

  it('for an upstream that is out of reach, which costs no attempt either', async () => {
    world = await startWorkerWorld({ workers: 0 });
    const port = Number(new URL(world.upstreamUrl).port);
    await world.simulator.close();
    // Without the gate, which would take the request and then break off.
    world.addWorker({ gated: false });
    const { id } = await world.ask('Hello?');
    await waitsFor(id, 'the upstream is unreachable or overloaded');
    const revived = createSimulator({ thinkMs: 30 });
    await revived.listen(port);
    expect(await world.finished(id, 20_000)).toMatchObject({ status: 'completed', attempt: 1, purchases: 1 });
    await revived.close();
  });

  it('for its turn, behind those that came before', async () => {
    world = await startWorkerWorld({ models: limited({ requestsPerMinute: 1 }) });
    await world.finished((await world.ask('First?')).id);
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) ids.push((await world.ask(`Next ${i}?`)).id);
    const bob = await askAs('bob', 'Fair?');
    // One of the others has just been started.
    expect(await waitsFor(bob.id, 'request per minute')).toMatchObject({ position: 1 });
    expect(await waitsFor(ids[0] ?? '', 'request per minute')).toMatchObject({ position: 2 });
    const last = await waitsFor(ids[2] ?? '', 'request per minute');
    expect(last).toMatchObject({ position: 4 });
    expect(last.eta_ms).toBeGreaterThan(120_000);
  });
});

it('a job whose deadline passes in the line ends there, without its turn', async () => {
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

it('a tenant whose budget is used up is refused where the configuration says so, but finds what it has asked before', async () => {
  world = await startWorkerWorld({
    models: limited({}, { alice: { dailyBudgetUsd: 0.02, onBudgetExhausted: 'refuse' } }),
  });
  const alice = world.queue.as({ tenant: 'alice', admin: false });
  const request = { question: 'How much?', metadata: { sim_output_tokens: '3000' } };
  const { job } = await alice.enqueue(parseJobRequest(request), 'key');
  await world.finished(job.id);
  const refused = { code: 'budget_exhausted', message: expect.stringContaining('0.02 US dollars') };
  await expect(alice.enqueue(parseJobRequest({ question: 'More?' }))).rejects.toMatchObject(refused);
  expect(await alice.enqueueBulk([{ question: 'More?' }])).toMatchObject([{ ok: false, error: refused }]);
  expect(await alice.enqueue(parseJobRequest(request), 'key')).toMatchObject({
    isNew: false,
    job: { id: job.id },
  });
  await world.finished((await askAs('bob', 'Mine?', {})).id);
});

it('who watches a job that waits hears of each place that it moves up', async () => {
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
