import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { eventually } from '../../support/eventually.ts';
import { metricRows, metricsIn } from '../../support/metric-rows.ts';
import { CANCELS } from '../../support/openai/upstream-gate.ts';
import { describeWithPromtool } from '../../support/process/promtool.ts';
import { quickModels } from '../../support/worlds/instance.ts';
import { startWorkerWorld, type WorkerWorld } from '../../support/worlds/worker-world.ts';

let world: WorkerWorld;
beforeAll(async () => {
  world = await startWorkerWorld({
    models: {
      ...quickModels(),
      tenants: {
        alice: { weight: 1, dailyBudgetUsd: 10, onBudgetExhausted: 'wait' },
        bob: { weight: 1, onBudgetExhausted: 'wait' },
      },
    },
  });
});
afterAll(() => world.stop());

const scrape = async (): Promise<string> => (await world.workers[0]?.metrics.text()) ?? '';
/** Resolves when the worker tells these values of series, in any order. */
const told = (series: Record<string, number>) =>
  eventually(async () => {
    const lines = (await scrape()).split('\n');
    const values = Object.keys(series).map((name) => [
      name,
      lines.find((line) => line.startsWith(`${name} `)),
    ]);
    expect(Object.fromEntries(values)).toEqual(
      Object.fromEntries(Object.entries(series).map(([name, value]) => [name, `${name} ${value}`])),
    );
  });
/** Returns how often each end of a job was counted by the worker; ends that never came are left out. */
const ends = async (): Promise<Record<string, number>> => {
  const found = (await scrape()).matchAll(
    /^o3q_jobs_total\{model="o3",status="(\w+)",code="(\w*)"\} (\d+)$/gm,
  );
  const counts = [...found].map(([, status, code, count]) => [code || status, Number(count)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
};

it('counts each end of a job once, with its code, wherever it is made', async () => {
  const answered = await world.ask('Answered?');
  const refused = await world.ask('Refused?', { sim: '400' });
  const late = await world.ask(
    'Late?',
    { sim_think_ms: '600000' },
    { deadline: new Date(Date.now() + 1000).toISOString() },
  );
  const stopped = await world.ask('Stopped?', { sim_think_ms: '600000' });
  await world.running(stopped.id);
  // The cancel is written before the upstream answers it, and once more with what it has cost.
  world.gate.shut(CANCELS);
  await world.queue.cancel(stopped.id);
  await world.finished(stopped.id);
  world.gate.open();
  for (const { id } of [answered, refused, late]) await world.finished(id);
  await eventually(async () =>
    expect(await ends()).toEqual({ completed: 1, cancelled: 1, invalid_request: 1, deadline_passed: 1 }),
  );
  await told({
    'o3q_deadline_missed_total{model="o3"}': 1,
    'o3q_answer_seconds_count{model="o3"}': 1,
    'o3q_attempts_total{model="o3",outcome="completed"}': 1,
    o3q_slots: 100,
  });
});

it('counts the cancel of a job that no worker holds by the process that was told, and only there', async () => {
  const counted: string[] = [];
  const app = new InstanceQueue({
    redisUrl: world.redis.url,
    ...world.models,
    onCancelled: (model) => void counted.push(model),
  });
  const before = await ends();
  const { id } = await world.ask('Later?', {}, { delay_ms: 600_000 });
  for (const outcome of ['cancelled', 'already']) expect(await app.cancel(id)).toMatchObject({ outcome });
  await app.close();
  expect(counted).toEqual(['o3']);
  expect(await ends()).toEqual(before);
});

it('tells what a job has used, how long it waited, and when its first word came', async () => {
  const before = await scrape();
  const { id } = await world.ask(
    'Streamed?',
    { sim_output_tokens: '20', sim_reasoning_tokens: '5' },
    { stream: true },
  );
  const { cost_usd } = await world.finished(id);
  expect(cost_usd).toBeGreaterThan(0);
  const valueIn = (text: string, name: string): number =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.slice(name.length),
    );
  const more = async (name: string): Promise<number> => valueIn(await scrape(), name) - valueIn(before, name);
  await eventually(async () => {
    expect(await more('o3q_tokens_total{model="o3",type="reasoning"}')).toBe(5);
    expect(await more('o3q_cost_usd_total{model="o3"}')).toBeCloseTo(cost_usd ?? 0, 9);
    for (const histogram of ['queue_time', 'answer', 'first_token'])
      expect(await more(`o3q_${histogram}_seconds_count{model="o3"}`)).toBe(1);
  });
});

it('tells what is left of a budget, for the tenants that have one, and how full Redis is', async () => {
  const text = await scrape();
  expect(text.match(/^o3q_budget_remaining_usd.*$/gm)).toEqual([
    'o3q_budget_remaining_usd{tenant="alice"} 10',
  ]);
  expect(text).toMatch(/^o3q_redis_used_memory_bytes [1-9]\d{5,}$/m);
  expect(text).toMatch(/^o3q_redis_max_memory_bytes 0$/m);
  expect(text).toMatch(/^o3q_build_info\{version="\d+\.\d+\.\d+[^"]*"\} 1$/m);
});

it('tells nothing that METRICS.md does not say of a worker, nor less', async () => {
  // No shutdown of a model is announced here.
  const { o3q_model_shutdown_timestamp_seconds: _, ...told } = metricsIn(await scrape());
  const { o3q_model_shutdown_timestamp_seconds: __, ...rows } = metricRows('W');
  expect(told).toEqual(rows);
});

describeWithPromtool('promtool check metrics', (promtool) => {
  it('finds nothing wrong with the scrape of a worker', async () => {
    expect(promtool(['check', 'metrics'], await scrape())).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });
});
