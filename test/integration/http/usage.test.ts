import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import { createUsageStore } from '../../../src/usage/store.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { billIn, billOf, type Entry } from '../../support/bill.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
};
const MODELS = ['o3', 'gpt-5'] as const;

describe('the usage of two models by two tenants', () => {
  let instance: Instance;
  let redis: Redis;
  const asking = (tenant: keyof typeof KEYS): O3Client =>
    new O3Client({ url: instance.url, apiKey: KEYS[tenant] });
  /** All that there is, also when midnight is in between. */
  const range = { from: daysBefore(utcDay(Date.now()), 20), to: daysBefore(utcDay(Date.now()), -1) };

  beforeAll(async () => {
    const { models, ...rest } = quickModels();
    const { o3 } = models;
    if (o3 === undefined) throw new Error('expected o3');
    instance = await startInstance({
      simulator: { windowModels: ['o3'] },
      models: { ...rest, models: { o3, 'gpt-5': { ...o3, upstream: 'gpt-5' } } },
      keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
    });
    redis = new Redis(instance.redis.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await instance.stop();
  });

  type Question = Omit<Extract<JobRequest, { question: string }>, 'question'>;

  async function finished(
    tenant: 'alice' | 'bob',
    question: string,
    { metadata, ...more }: Question = {},
  ): Promise<JobView> {
    const client = asking(tenant);
    const { id } = await client.enqueue({ question, metadata: { ...metadata, tenant }, ...more });
    return client.wait(id);
  }

  /** In a service tier, which only a request of the Responses API can ask for. */
  async function finishedIn(
    tier: string,
    tenant: 'alice' | 'bob',
    model: string,
    metadata: Record<string, string> = {},
  ): Promise<JobView> {
    const client = asking(tenant);
    const input = `Why is it ${tier} for ${model}?`;
    const { id } = await client.enqueue({
      model,
      request: { input, service_tier: tier, metadata: { ...metadata, tenant } },
    });
    return client.wait(id);
  }

  /** Failed once with all its attempts, then retried by hand. */
  async function failedAndRetried(): Promise<JobView> {
    const metadata = { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' };
    const failed = await finished('bob', 'Again?', { metadata });
    expect(failed).toMatchObject({ status: 'failed', usage: null, cost_usd: null, purchases: 1 });
    await asking('bob').retry(failed.id);
    return asking('bob').wait(failed.id);
  }

  async function inWindow(): Promise<JobView> {
    const client = asking('alice');
    const { id } = await client.enqueue({
      request: {
        input: 'Why so cheap?',
        background_options: { completion_window: '8h' },
        metadata: { tenant: 'alice', sim: 'window_early' },
      },
    });
    return client.wait(id);
  }

  const bought = (id: string) =>
    eventually(async () => {
      expect(await asking('alice').get(id)).toMatchObject({
        ...{ status: 'active', upstream_id: expect.any(String) },
      });
    });

  async function cancelled(): Promise<JobView> {
    const client = asking('alice');
    const window = { background_options: { completion_window: '8h' } };
    const { id } = await client.enqueue({
      request: { input: 'For ever?', ...window, metadata: { tenant: 'alice' } },
    });
    await bought(id);
    await client.cancel(id);
    return client.wait(id);
  }

  async function everything(): Promise<JobView[]> {
    const big = { sim_input_tokens: '50001', sim_cached_tokens: '40000', sim_output_tokens: '30' };
    return Promise.all([
      finished('alice', 'Why?'),
      finished('alice', 'Why so long?', { metadata: big, stream: false }),
      finished('alice', 'Why gpt?', { model: 'gpt-5', reasoning_effort: 'high' }),
      finishedIn('flex', 'alice', 'gpt-5', big),
      finishedIn('priority', 'bob', 'o3'),
      // Asked for at the lower price, and served at the other one.
      finishedIn('flex', 'bob', 'o3', { sim_tier: 'default' }),
      finished('bob', 'Once more?', { metadata: { sim: 'failed', sim_times: '1' } }),
      failedAndRetried(),
      inWindow(),
    ]);
  }

  const entriesOf = (tenant?: string, model?: string): Entry[] =>
    instance.simulator.ledger
      .entries()
      .filter((entry) => tenant === undefined || entry.metadata['tenant'] === tenant)
      .filter((entry) => model === undefined || entry.model === model);

  it('equals the bill to the nano-dollar: by tenant, by model, by day and by job', async () => {
    const jobs = await everything();
    expect(jobs.map(({ status }) => status)).toEqual(Array(9).fill('completed'));
    const admin = asking('admin');
    const firstBill = billOf(entriesOf());
    expect(firstBill).toMatchObject({ requests: 11, unpriced: 2, savedNano: expect.any(Number) });
    const report = await admin.usage(range);
    expect(billIn(report.total)).toEqual(firstBill);
    for (const { tenant, model, ...sums } of report.rows)
      expect(billIn(sums)).toEqual(billOf(entriesOf(tenant ?? '', model)));
    for (const { tenant, ...sums } of (await admin.usage({ ...range, by: 'tenant' })).rows)
      expect(billIn(sums)).toEqual(billOf(entriesOf(tenant ?? '')));
    for (const { model, ...sums } of (await admin.usage({ ...range, by: 'model' })).rows)
      expect(billIn(sums)).toEqual(billOf(entriesOf(undefined, model)));

    // A job's own sum is that of all it ever bought, whether or not it was for the answer.
    for await (const { id, cost_usd: cost, saved_usd: saved } of admin.jobs()) {
      const job = jobs.find((each) => each.id === id);
      const bought = entriesOf().filter(
        ({ question, metadata }) => question === job?.question && metadata['tenant'] === job.tenant,
      );
      const { nano, savedNano } = billOf(bought);
      expect([cost, saved].map((usd) => Math.round((usd ?? 0) * 1e9))).toEqual([nano, savedNano]);
    }

    // What was booked until now was ten days ago.
    const past = daysBefore(utcDay(Date.now()), 10);
    for (const model of MODELS) {
      const [key] = await redis.keys(`o3q:usage:{${model}}:*`);
      await redis.rename(key ?? '', usageKey('o3q', model, past));
    }
    instance.simulator.ledger.reset();
    await Promise.all([finished('alice', 'And today?'), finished('bob', 'Today?', { model: 'gpt-5' })]);
    const [pastDay, ...today] = (await admin.usage({ ...range, by: 'day' })).rows;
    expect(pastDay?.day).toBe(past);
    expect(billIn(pastDay)).toEqual(firstBill);
    expect(today.reduce((sum, day) => sum + (billIn(day)?.nano ?? 0), 0)).toBe(billOf(entriesOf()).nano);
    expect(billIn((await admin.usage({ from: past, to: past })).total)).toEqual(firstBill);

    const usage = createUsageStore(redis, 'o3q', ['o3']);
    // The models that are not configured here are found too.
    expect(await usage.spentToday('bob')).toBe(billOf(entriesOf('bob')).nano);
    expect(await usage.spentToday('nobody')).toBe(0);
  });

  it('shows each tenant its own, and admin all', async () => {
    const alice = await asking('alice').usage({ ...range, by: 'tenant' });
    expect(alice.rows).toMatchObject([{ tenant: 'alice' }]);
    const all = await asking('admin').usage({ ...range, by: 'tenant' });
    expect(all.rows).toMatchObject([{ tenant: 'alice' }, { tenant: 'bob' }]);
    expect(all.rows[0]).toEqual(alice.rows[0]);
    expect(billIn(alice.total)).toEqual(billIn(alice.rows[0]));
  });

  it('is kept for 400 days', async () => {
    const keys = (await Promise.all(MODELS.map((model) => redis.keys(`o3q:usage:{${model}}:*`)))).flat();
    expect(keys.length).toBeGreaterThanOrEqual(MODELS.length);
    for (const key of keys) {
      const days = (await redis.ttl(key)) / 86_400;
      expect(days).toBeGreaterThan(399);
      expect(days).toBeLessThanOrEqual(400);
    }
  });

  it('is answered over HTTP as documented, and a bad range is refused', async () => {
    const headers = { authorization: `Bearer ${KEYS.alice}` };
    const get = (path: string) => call(instance.url, 'GET', path, { headers });
    expect(await get('/usage')).toMatchObject({ status: 200, body: { currency: 'usd' } });
    expect(await get('/usage?by=model')).toMatchObject({ status: 200 });
    for (const query of [
      'from=2026-02-30',
      'to=tomorrow',
      'by=colour',
      'since=2026-01-01',
      'from=2000-01-01',
    ])
      expectProblem(await get(`/usage?${query}`), 400, 'invalid_request');
  });

  it('is a table of `o3q usage`', async () => {
    const environment = { O3Q_URL: instance.url, O3Q_API_KEY: KEYS.admin };
    const { stdout, code } = await o3q(['usage', '--by', 'tenant', '--to', range.to], { environment });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^TENANT +REQUESTS .*\nalice .*\$\d+\.\d+.*\nbob .*\ntotal .*\n$/);
    const json = await o3q(['usage', '--json', '--from', range.from, '--to', range.to], { environment });
    expect(JSON.parse(json.stdout)).toEqual(await asking('admin').usage(range));
  });

  it('has an estimate for a response that was cancelled, and for one whose usage is not reported', async () => {
    const before = (await asking('alice').usage(range)).total;
    // The reply to the job in a completion window has not confirmed its price.
    expect(before.estimated_requests).toBe(1);
    const jobs = [
      await finished('alice', 'What for?', { metadata: { sim: 'usage_null' } }),
      await cancelled(),
    ];
    const after = await eventually(async () => {
      const { total } = await asking('alice').usage(range);
      expect(total.estimated_requests).toBe(3);
      return total;
    });
    expect(after.unpriced_requests).toBe(before.unpriced_requests);
    expect(after.output_tokens).toBeGreaterThan(before.output_tokens);
    const views = await Promise.all(jobs.map(({ id }) => asking('alice').get(id)));
    expect(views).toMatchObject([
      { status: 'completed', cost_estimated: true, result: { usage: null, cost_usd: null } },
      { status: 'cancelled', cost_estimated: true, usage: null },
    ]);
    const cost = views.reduce((sum, view) => sum + (view.cost_usd ?? 0), 0);
    expect(after.estimated_usd).toBeCloseTo(before.estimated_usd + cost, 9);
    expect(after.cost_usd).toBeCloseTo((before.cost_usd ?? 0) + cost, 9);
    const [, { id, cost_usd, list_usd, saved_usd }] = views as [JobView, JobView];
    expect(saved_usd).toBeCloseTo(0.4 * (list_usd ?? 0), 9);
    expect(after.saved_usd).toBeCloseTo(before.saved_usd + (saved_usd ?? 0), 9);

    // A retry by hand keeps what was spent and saved before it.
    await asking('alice').retry(id);
    await bought(id);
    expect(await asking('alice').get(id)).toMatchObject({ cost_usd, list_usd, saved_usd });
    await asking('alice').cancel(id);
    await asking('alice').wait(id);
  });
});
