import { O3Client } from '../../../src/client/o3-client.ts';
import { defaultModels } from '../../../src/config/file.ts';
import { eventually } from '../../support/eventually.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = [
  { name: 'admin', secret: 'the-secret-of-admin' },
  { name: 'alice', secret: 'the-secret-of-alice' },
];
const FREE = { simulated: true, cost_usd: 0 };

describe('answers of the simulator', () => {
  let instance: Instance;
  let client: O3Client;
  const environment = (): Record<string, string> => ({
    O3Q_URL: instance.url,
    O3Q_API_KEY: 'the-secret-of-alice',
  });

  beforeAll(async () => {
    const { o3 } = defaultModels().models;
    if (o3 === undefined) throw new Error('expected o3');
    const alias = { ...o3, fallbacks: [] };
    instance = await startInstance({
      keys: KEYS,
      simulator: { paid: false, models: ['o3', 'of-unknown-price'] },
      models: {
        models: { o3: alias, odd: { ...alias, upstream: 'of-unknown-price' } },
        tenants: { alice: { weight: 1, dailyBudgetUsd: 0.000001, onBudgetExhausted: 'refuse' } },
      },
    });
    client = new O3Client({ url: instance.url, apiKey: 'the-secret-of-alice' });
  });
  afterAll(() => instance.stop());

  it.each(['o3', 'odd'])('cost nothing, and no budget stops them: %s', async (model) => {
    const { id } = await client.enqueue({ question: 'Is this play?', model });
    expect(await client.wait(id)).toMatchObject({ status: 'completed', ...FREE, result: FREE });
    expect(await client.result(id)).toMatchObject({ status: 'completed', result: FREE });
  });

  it('cost nothing when another worker has taken over, or when they are cancelled', async () => {
    const metadata = { sim_think_ms: '1500' };
    const { id } = await client.enqueue({ question: 'Who ends this?', metadata });
    const other = await client.enqueue({ question: 'And this?', metadata: { sim_think_ms: '60000' } });
    for (const each of [id, other.id])
      await eventually(async () => expect((await client.get(each)).simulated).toBe(true));
    await client.cancel(other.id);
    const [worker] = instance.workers;
    if (worker === undefined) throw new Error('expected a worker');
    await instance.stopWorker(worker);
    instance.addWorker();
    expect(await client.wait(id)).toMatchObject({ status: 'completed', purchases: 1, ...FREE, result: FREE });
    await eventually(async () =>
      expect(await client.get(other.id)).toMatchObject({ status: 'cancelled', ...FREE }),
    );
  });

  it.each<[string, object]>([
    ['usage_null', { status: 'completed', result: FREE }],
    ['failed', { status: 'failed' }],
    // The last: a server that begins a stream so is taken for one without background mode.
    ['no_opening, no_end', { status: 'completed', result: FREE }],
  ])('cost nothing, whatever they say of their usage: %s', async (sim, expected) => {
    const { id } = await client.enqueue({
      question: `And ${sim}?`,
      metadata: { sim, sim_code: 'invalid_prompt' },
    });
    expect(await client.wait(id)).toMatchObject({ ...FREE, ...expected });
  });

  it('are no usage', async () => {
    const admin = new O3Client({ url: instance.url, apiKey: 'the-secret-of-admin' });
    expect(instance.simulator.ledger.totals().purchases).toBe(7);
    expect(await admin.usage()).toMatchObject({ rows: [], total: { requests: 0, unpriced_requests: 0 } });
  });

  it('are shown as simulated where money stands otherwise', async () => {
    const { id } = await client.enqueue({ question: 'What does it cost?' });
    await client.wait(id);
    expect((await o3q(['status', id], { environment: environment() })).stdout).toMatch(/cost +simulated\n/);
    expect((await o3q(['list'], { environment: environment() })).stdout).toMatch(/COST[\s\S]*simulated/);
    expect((await o3q(['usage'], { environment: environment() })).stderr).toMatch(
      /^Nothing was used .* Simulated answers cost nothing and do not count\.\n$/,
    );
  });
});
