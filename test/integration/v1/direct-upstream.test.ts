import type { UsageReport } from '../../../src/usage/report.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { refusal } from '../../support/openai/scripted-upstream.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';
import { closeScripted, json, type Step, startScripted } from '../../support/worlds/scripted-instance.ts';

/** How the calls of /v1 that a producer hands to the upstream end when that is not OpenAI, or refuses. */

let instance: Instance;
beforeAll(async () => {
  const o3 = quickModels().models['o3'];
  if (o3 === undefined) throw new Error('expected o3');
  const models = { o3, fast: { ...o3, upstream: 'gpt-5', fallbacks: ['gpt-5.2'] } };
  instance = await startInstance({ workers: 0, models: { models } });
});
afterAll(() => instance.stop());
afterEach(closeScripted);

/** unpriced counts the calls of the model that may have been bought, at a price that is not known. */
const unpriced = async (): Promise<number> => {
  const { body } = await call(instance.url, 'GET', '/usage?by=model');
  return (body as UsageReport).rows.find(({ model }) => model === 'fast')?.unpriced_requests ?? 0;
};

describe('a producer with another upstream', () => {
  /** Sends a call through a producer whose upstream answers with these steps. */
  const through = async (path: string, ...steps: Step[]) => {
    const { url, seen } = await startScripted(...steps);
    const other = await startInstance({
      redis: instance.redis,
      workers: 0,
      models: instance.models,
      producerUpstream: { apiKey: 'sk-of-the-producer-1234', baseUrl: `${url}?api-version=preview` },
    });
    try {
      const answers: Answer[] = [];
      for (const _ of steps)
        answers.push(
          await call(other.url, 'POST', path, { body: { model: 'fast', input: 'Why?', next_year: 1 } }),
        );
      return { answers, seen };
    } finally {
      await other.stop();
    }
  };

  it.each<[string, string, Step, number, object]>([
    [
      'no such route',
      'compact',
      json(404, { detail: 'Not Found' }),
      501,
      { code: 'not_supported_by_upstream' },
    ],
    [
      'another method only',
      'input_tokens',
      json(405, { detail: 'Method Not Allowed' }),
      501,
      { code: 'not_supported_by_upstream' },
    ],
  ])('that has %s for %s is asked once', async (_what, path, step, status, error) => {
    const { answers, seen } = await through(`/v1/responses/${path}`, step, step, step);
    for (const answer of answers)
      expect(answer).toMatchObject({ status, headers: { 'x-should-retry': 'false' }, body: { error } });
    expect(answers[0]?.body).toMatchObject({
      error: { message: expect.stringContaining(`has no POST /responses/${path}: the upstream answered 40`) },
    });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ path: `/responses/${path}?api-version=preview` });
  });

  it('cannot count is asked once for quotes, which then estimate', async () => {
    const { url, seen } = await startScripted(json(404, { detail: 'Not Found' }));
    const producerUpstream = { apiKey: 'sk-of-the-producer-1234', baseUrl: url };
    const { redis, models } = instance;
    const other = await startInstance({ redis, models, workers: 0, producerUpstream });
    try {
      for (const _ of [1, 2])
        expect(await call(other.url, 'POST', '/jobs?quote=1', { body: { question: 'Why?' } })).toMatchObject({
          body: { input_basis: 'estimated from the length of the text', most_usd: null },
        });
      expect(seen.map(({ path }) => path)).toEqual(['/responses/input_tokens']);
    } finally {
      await other.stop();
    }
  });

  it('passes the upstream’s answers and refusals on, and hides its own key', async () => {
    const page: Step = (response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Log in</h1>');
    const exact = '{"object":"response.input_tokens","input_tokens":12,"of_next_year":12345678901234567890}';
    let received = '';
    const whole: Step = (response, request) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
      request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(exact));
    };
    const { answers } = await through(
      '/v1/responses/input_tokens',
      whole,
      refusal(400, { param: 'tools', code: 'invalid_value', message: 'Bad tool.' }),
      refusal(401, { code: 'invalid_api_key', message: 'Incorrect API key: sk-of-the-producer-1234' }),
      refusal(429, { code: 'rate_limit_exceeded', message: 'Slow down.' }, { 'retry-after': '7' }),
      json(500, { error: { message: 'Oops.', type: 'server_error' } }),
      page,
      (response) => response.destroy(),
    );
    expect(
      answers.map(({ status, body }) => [status, (body as { error?: { code: string | null } }).error?.code]),
    ).toEqual([
      [200, undefined],
      [400, 'invalid_value'],
      [502, 'upstream_authentication'],
      [429, 'rate_limit_exceeded'],
      [500, null],
      [502, 'upstream_unreadable'],
      [502, 'upstream_unreachable'],
    ]);
    expect(JSON.stringify(answers)).not.toContain('sk-of-the-producer');
    expect(answers[3]?.headers['retry-after']).toBe('7');
    expect(JSON.parse(received)).toEqual({ model: 'gpt-5', input: 'Why?', next_year: 1 });
  });

  it('books what may have been bought, and says so', async () => {
    const before = await unpriced();
    const { answers } = await through('/v1/responses/compact', (response) => response.destroy());
    expect(answers[0]).toMatchObject({
      status: 502,
      headers: { 'x-should-retry': 'false' },
      body: { error: { message: expect.stringContaining('It may have been paid for.') } },
    });
    expect(await unpriced()).toBe(before + 1);
  });

  it('that is unknown to it refuses, and says which variables to set', async () => {
    const other = await startInstance({ redis: instance.redis, workers: 0, producerUpstream: null });
    try {
      const answer = await call(other.url, 'POST', '/v1/responses/compact', { body: { input: 'Why?' } });
      expect(answer).toMatchObject({
        status: 501,
        headers: { 'x-should-retry': 'false' },
        body: {
          error: { code: 'upstream_not_configured', message: expect.stringContaining('OPENAI_API_KEY') },
        },
      });
    } finally {
      await other.stop();
    }
  });
});
