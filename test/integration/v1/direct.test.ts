import { O3Client } from '../../../src/client/o3-client.ts';
import type { Quote } from '../../../src/usage/quote.ts';
import type { UsageReport } from '../../../src/usage/report.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/** The calls of /v1 that need an answer at once: the producer hands them to the upstream. */

const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
};
type Name = keyof typeof KEYS;

let instance: Instance;
beforeAll(async () => {
  const models = quickModels();
  const o3 = models.models['o3'];
  if (o3 === undefined) throw new Error('expected o3');
  const limits = { weight: 1, onBudgetExhausted: 'wait' } as const;
  instance = await startInstance({
    keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
    models: {
      models: { o3, fast: { ...o3, upstream: 'gpt-5', fallbacks: ['gpt-5.2'] } },
      tenants: { bob: { ...limits, dailyBudgetUsd: 0.000001 } } as never,
    },
  });
});
afterAll(() => instance.stop());

const post = (name: Name, path: string, body: unknown, url = instance.url): Promise<Answer> =>
  call(url, 'POST', path, { body, headers: { authorization: `Bearer ${KEYS[name]}` } });
const sdkOf = (name: Name) => openSdk(instance.url, { apiKey: KEYS[name], maxRetries: 0 }).client;
const usageOf = async (name: Name, model: string) => {
  const { body } = await call(instance.url, 'GET', '/usage?by=model', {
    headers: { authorization: `Bearer ${KEYS[name]}` },
  });
  return (body as UsageReport).rows.find((row) => row.model === model);
};
const CONVERSATION = [
  { role: 'user' as const, content: 'Why is the sky blue?' },
  { role: 'assistant' as const, content: 'It scatters blue light.' },
  { role: 'user' as const, content: 'And at dusk?' },
];

describe('POST /v1/responses/input_tokens', () => {
  it('counts the tokens of a request for OpenAI’s SDK, without a job', async () => {
    const counted = await sdkOf('alice').responses.inputTokens.count({
      model: 'o3',
      input: 'Why is it blue?',
    });
    expect(counted).toEqual({ object: 'response.input_tokens', input_tokens: expect.any(Number) });
    expect(
      (await call(instance.url, 'GET', '/jobs', { headers: { authorization: `Bearer ${KEYS.alice}` } })).body,
    ).toMatchObject({ jobs: [] });
    expect(await usageOf('alice', 'o3')).toBeUndefined();
  });

  it('counts the responses before it, which only the tenant that bought them may name', async () => {
    const alice = sdkOf('alice');
    const { id } = await alice.responses.create({ model: 'o3', input: 'A question of some length?' });
    const count = async (body: object) =>
      (
        (await post('alice', '/v1/responses/input_tokens', { model: 'o3', input: 'And?', ...body })).body as {
          input_tokens: number;
        }
      ).input_tokens;
    expect(await count({ previous_response_id: id })).toBeGreaterThan(await count({}));
    const answer = await post('bob', '/v1/responses/input_tokens', {
      input: 'And?',
      previous_response_id: id,
    });
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: 'previous_response_not_found', param: 'previous_response_id' } },
    });
  });

  it('needs a key and a configured model', async () => {
    const body = { model: 'gpt-2', input: 'Why?' };
    expect(await call(instance.url, 'POST', '/v1/responses/input_tokens', { body })).toMatchObject({
      status: 401,
      body: { error: { code: 'invalid_api_key' } },
    });
    expect(await post('alice', '/v1/responses/input_tokens', body)).toMatchObject({
      status: 404,
      body: { error: { code: 'model_not_found', param: 'model' } },
    });
  });
});

describe('a quote', () => {
  const asked = { model: 'o3', request: { input: 'Why is it blue?', max_output_tokens: 1000 } };
  const IN_8H = { background_options: { completion_window: '8h' } };
  const inHours = (hours: number): string => new Date(Date.now() + hours * 3_600_000).toISOString();

  it('says what a job would cost in each completion window, and stores and buys nothing', async () => {
    const client = new O3Client({ url: instance.url, apiKey: KEYS.alice });
    const before = [instance.simulator.ledger.entries().length, (await client.list()).jobs.length];
    const { input_tokens: counted } = await sdkOf('alice').responses.inputTokens.count(asked.request);
    const quote = await client.quote({ ...asked, needed_by: inHours(12) });
    const most = counted * 2000 + 1000 * 8000;
    const likely = counted * 2000 + quote.output_tokens * 8000;
    expect(quote).toMatchObject({
      ...{ model: 'o3', upstream_model: 'o3', input_tokens: counted, input_basis: 'counted by the upstream' },
      ...{ is_long_input: false, most_output_tokens: 1000, completion_window: '8h' },
      windows: [
        { completion_window: 'soonest', discount: 0, saved_usd: 0 },
        { completion_window: '2h', discount: 0.3, answer_by: expect.any(String) },
        { completion_window: '8h', discount: 0.4, answer_by: expect.any(String) },
      ],
    });
    const nano = (usd: number | null | undefined) => Math.round((usd ?? Number.NaN) * 1e9);
    expect(quote.windows.map(({ most_usd }) => nano(most_usd))).toEqual([most, most * 0.7, most * 0.6]);
    expect(quote.windows.map((each) => nano(each.expected_usd) + nano(each.saved_usd))).toEqual([
      ...[likely, likely, likely],
    ]);
    expect([quote.expected_usd, quote.most_usd]).toEqual([
      ...[quote.windows[2]?.expected_usd, quote.windows[2]?.most_usd],
    ]);
    expect([instance.simulator.ledger.entries().length, (await client.list()).jobs.length]).toEqual(before);
  });

  it.each<[string, number, object, string, string[]]>([
    ['12 hours', 12, {}, '8h', ['soonest', '2h', '8h']],
    ['3 hours', 3, {}, '2h', ['soonest', '2h', '8h']],
    ['an hour', 1, {}, 'soonest', ['soonest', '2h', '8h']],
    ['12 hours in another tier, which has no windows', 12, { service_tier: 'flex' }, 'soonest', ['soonest']],
    ['an hour, and names a window', 1, IN_8H, '8h', ['soonest', '2h', '8h']],
  ])('of a job that is needed in %s chooses a window', async (_what, hours, more, window, offered) => {
    const request = { ...asked, request: { ...asked.request, ...more }, needed_by: inHours(hours) };
    const { status, body } = await post('alice', '/jobs?quote=1', request);
    expect({ status, body }).toMatchObject({ status: 200, body: { completion_window: window } });
    expect((body as Quote).windows.map(({ completion_window: name }) => name)).toEqual(offered);
  });

  it('is refused as the job itself would be', async () => {
    for (const [body, code] of [
      [{ question: '' }, 'invalid_request'],
      [{ question: 'Why?', model: 'gpt-2' }, 'unknown_model'],
    ] as const)
      expect(await post('alice', '/jobs?quote=1', body)).toMatchObject({ status: 400, body: { code } });
  });
});

describe('POST /v1/responses/compact', () => {
  it('compacts a conversation at the upstream model of an alias, and books its cost for the tenant', async () => {
    const before = instance.simulator.limits()['gpt-5']?.accepted ?? 0;
    const compacted = await sdkOf('alice').responses.compact({ model: 'fast', input: CONVERSATION });
    expect(compacted).toMatchObject({
      object: 'response.compaction',
      output: [
        { role: 'user' },
        { role: 'user' },
        { type: 'compaction', encrypted_content: expect.any(String) },
      ],
    });
    expect(instance.simulator.limits()['gpt-5']?.accepted).toBe(before + 1);
    const { usage } = compacted;
    expect(await usageOf('alice', 'fast')).toMatchObject({
      requests: 1,
      input_tokens: usage.input_tokens,
      output_tokens: usage.output_tokens,
      unpriced_requests: 0,
      cost_usd: expect.any(Number),
    });
    // What comes of it is the input of an ordinary request.
    const next = await sdkOf('alice').responses.create({
      model: 'fast',
      input: [...compacted.output, ...CONVERSATION] as never,
    });
    expect(next.status).toBe('completed');
  });

  it('is refused when the tenant’s budget is used up, even if its jobs would wait', async () => {
    const compact = () => post('bob', '/v1/responses/compact', { model: 'o3', input: CONVERSATION });
    expect(await compact()).toMatchObject({ status: 200 });
    expect(await compact()).toMatchObject({
      status: 429,
      headers: { 'x-should-retry': 'false' },
      body: { error: { code: 'insufficient_quota' } },
    });
    expect(await post('bob', '/v1/responses/input_tokens', { input: 'Why?' })).toMatchObject({ status: 200 });
  });

  it('goes to a fallback when the upstream no longer has the model', async () => {
    await fetch(new URL('/simulator/models/gpt-5', instance.upstreamUrl), {
      method: 'PUT',
      body: JSON.stringify({ gone: true }),
    });
    expect(
      await post('alice', '/v1/responses/compact', { model: 'fast', input: CONVERSATION }),
    ).toMatchObject({ status: 200 });
    expect(instance.simulator.limits()['gpt-5.2']?.accepted).toBe(1);
  });
});
