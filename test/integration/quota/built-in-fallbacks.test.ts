import { O3Client } from '../../../src/client/o3-client.ts';
import { defaultModels } from '../../../src/config/file.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

describe('the built-in o3', () => {
  let instance: Instance;
  let client: O3Client;
  beforeAll(async () => {
    instance = await startInstance({
      models: defaultModels(),
      simulator: { models: ['gpt-5', 'gpt-6.1-sol', 'gpt-6.2-sol'] },
    });
    client = new O3Client({ url: instance.url });
  });
  afterAll(() => instance.stop());

  const remove = async (id: string): Promise<void> => {
    const url = new URL(`/simulator/models/${id}`, instance.upstreamUrl);
    const body = JSON.stringify({ gone: true });
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(url, { method: 'PUT', headers, body })).status).toBe(200);
  };

  it.each(['gpt-6.1-sol', 'gpt-6.2-sol'])('goes on with %s, and says what that costs more', async (model) => {
    const metadata = { sim_input_tokens: '1000', sim_output_tokens: '400', sim_reasoning_tokens: '100' };
    const { id } = await client.enqueue({ question: 'Are you still there?', metadata });
    const said = { upstream_model: model, fallback_from: 'o3', fallback_extra_usd: 0.001 };
    expect(await client.wait(id)).toMatchObject({
      ...{ status: 'completed', attempt: 1, purchases: 1, cost_usd: 0.007, result: said },
    });
    expect(await client.result(id)).toMatchObject({ status: 'completed', result: said });
    const environment = { O3Q_URL: instance.url };
    const words = 'for o3, which the upstream no longer has; it costs $0.001 more than o3';
    expect((await o3q(['status', id], { environment })).stdout).toContain(words);
    expect((await o3q(['result', id], { environment })).stderr).toBe(`${model} answered ${words}\n`);
    await remove(model);
  });

  it('waits when its fallbacks are gone too, and names the setting', async () => {
    const { id } = await client.enqueue({ question: 'And now?' });
    const reason =
      'o3 does not exist at the upstream, and neither do its fallbacks (gpt-6.1-sol, gpt-6.2-sol): ' +
      'set models.o3.upstream or models.o3.fallbacks in o3q.config.json';
    await eventually(async () =>
      expect(await client.get(id)).toMatchObject({ status: 'waiting', purchases: 0, waiting_for: reason }),
    );
    await eventually(async () =>
      expect((await call(instance.url, 'GET', '/readyz')).body).toEqual({
        ...{ status: 'degraded', reasons: [`o3: ${reason}`] },
      }),
    );
    expect(instance.simulator.ledger.totals().purchases).toBe(2);
  });
});
