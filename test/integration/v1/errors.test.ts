import {
  APIError,
  AuthenticationError,
  BadRequestError,
  ConflictError,
  InternalServerError,
  NotFoundError,
  type OpenAI,
  RateLimitError,
} from 'openai';
import { openSdk, reachedStatus } from '../../support/openai/sdk.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/**
 * OpenAI's own SDK, unmodified but for its base URL: each refusal as the class that its users catch, and no
 * call that can only fail again.
 */

type Call = (client: OpenAI) => Promise<unknown>;
const create =
  (body: Record<string, unknown>, headers: Record<string, string> = {}): Call =>
  (client) =>
    client.responses.create(
      { model: 'o3', input: 'Why?', ...body } as OpenAI.Responses.ResponseCreateParams,
      {
        headers,
      },
    );

async function caught(promise: Promise<unknown>): Promise<APIError> {
  const error: unknown = await promise.then(
    (value) => new Error(`expected a refusal, got ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof APIError) return error;
  throw error;
}

describe('an instance without keys', () => {
  let instance: Instance;
  beforeAll(async () => {
    const models = quickModels();
    const o3 = models.models['o3'];
    if (o3 === undefined) throw new Error('expected o3');
    instance = await startInstance({ models: { models: { o3: { ...o3, maxAttempts: 2 } } } });
  });
  afterAll(() => instance.stop());

  const MISSING = `resp_${'0'.repeat(32)}`;
  const fault = (sim: string) => ({ metadata: { sim, sim_retry_after_ms: '1' } });

  it.each<[string, Call, new (...args: never[]) => APIError, object]>([
    [
      'no input',
      create({ input: undefined }),
      BadRequestError,
      { status: 400, type: 'invalid_request_error' },
    ],
    ['an input of another kind', create({ input: 7 }), BadRequestError, { status: 400, param: 'input' }],
    ['bad metadata', create({ metadata: { a: 1 } }), BadRequestError, { status: 400, param: 'metadata.a' }],
    ['a bad header', create({}, { 'O3Q-Priority': 'first' }), BadRequestError, { status: 400 }],
    ['a misspelt header', create({}, { 'O3Q-Priorty': '1' }), BadRequestError, { param: 'o3q-priorty' }],
    [
      'a model that is not configured',
      create({ model: 'gpt-2' }),
      NotFoundError,
      { status: 404, code: 'model_not_found', param: 'model' },
    ],
    [
      'a response that does not exist',
      (client) => client.responses.retrieve(MISSING),
      NotFoundError,
      { status: 404, message: `404 Response with id '${MISSING}' not found.` },
    ],
    ['an id of nothing', (client) => client.responses.cancel('../jobs'), NotFoundError, { status: 404 }],
    [
      'a request that the upstream refuses',
      create(fault('400')),
      BadRequestError,
      { status: 400, code: 'invalid_value' },
    ],
    [
      'a streamed request that the upstream refuses',
      create({ ...fault('400'), stream: true }),
      BadRequestError,
      { status: 400, code: 'invalid_value', param: 'input' },
    ],
    ['an upstream that fails every attempt', create(fault('500')), InternalServerError, { status: 500 }],
    [
      'an upstream that is overloaded at every attempt',
      create(fault('503')),
      InternalServerError,
      { status: 503 },
    ],
  ])('answers %s at the first try, and the SDK makes no other', async (_what, call, type, expected) => {
    const { client, tries } = openSdk(instance.url);
    const error = await caught(call(client));
    expect(error).toMatchObject({ ...expected, requestID: expect.stringMatching(/^req_[0-9a-f]{32}$/) });
    expect(error).toBeInstanceOf(type);
    expect(tries).toHaveLength(1);
  });

  it('does not pass a 429 of the upstream on: the caller waits for its turn', async () => {
    const { client, tries } = openSdk(instance.url);
    const metadata = { sim: '429', sim_times: '1', sim_retry_after_ms: '50' };
    expect(await client.responses.create({ model: 'o3', input: 'Now?', metadata })).toMatchObject({
      status: 'completed',
    });
    expect(tries).toHaveLength(1);
  });

  it('gives a request id with successful answers too', async () => {
    const { client } = openSdk(instance.url);
    const response = await client.responses.create({ model: 'o3', input: 'Id?' });
    expect(response._request_id).toMatch(/^req_[0-9a-f]{32}$/);
  });

  it('answers a used Idempotency-Key with a conflict', async () => {
    const { client, tries } = openSdk(instance.url);
    const headers = { 'Idempotency-Key': 'taken' };
    await create({ background: true }, headers)(client);
    const error = await caught(create({ background: true, input: 'Else?' }, headers)(client));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({ status: 409, code: 'idempotency_key_reused' });
    expect(tries).toHaveLength(2);
  });

  it('answers malformed JSON, other media types and other methods in the same envelope', async () => {
    const { client } = openSdk(instance.url);
    const post = (body: string, type: string) =>
      caught(client.post('/responses', { body: Buffer.from(body), headers: { 'content-type': type } }));
    expect(await post('{"model":', 'application/json')).toBeInstanceOf(BadRequestError);
    expect(await post('[]', 'application/json')).toBeInstanceOf(BadRequestError);
    expect(await post('{}', 'text/plain')).toBeInstanceOf(BadRequestError);
    expect(await caught(client.put('/responses', { body: {} }))).toMatchObject({ status: 405 });
    const nowhere = await caught(client.embeddings.create({ model: 'o3', input: 'Why?' }));
    expect(nowhere).toBeInstanceOf(NotFoundError);
    expect(nowhere.message).toMatch(/^404 .*\/v1\/embeddings/);
  });

  it('keeps the failure of a background response for later retrieval', async () => {
    const { client, tries } = openSdk(instance.url);
    const { id } = await client.responses.create({
      model: 'o3',
      input: 'Fail?',
      background: true,
      ...fault('400'),
    });
    expect(await reachedStatus(client, id, 'failed')).toMatchObject({
      error: {
        code: 'invalid_value',
        type: 'invalid_request_error',
        message: expect.stringContaining('input'),
      },
      output: [],
    });
    expect(tries.filter((tried) => tried.startsWith('POST'))).toHaveLength(1);
  });
});

describe('an instance with keys', () => {
  let instance: Instance;
  const secrets = { alice: 'a-secret-of-alice-0', bob: 'a-secret-of-bob-0000' };
  beforeAll(async () => {
    const keys = Object.entries(secrets).map(([name, secret]) => ({ name, secret }));
    instance = await startInstance({ keys, http: { requestsPerMinute: 10 } });
  });
  afterAll(() => instance.stop());

  it('refuses an unknown key, and hides the responses of other tenants', async () => {
    const stranger = openSdk(instance.url, { apiKey: 'sk-unknown' });
    const error = await caught(stranger.client.models.list());
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error).toMatchObject({ status: 401, code: 'invalid_api_key', requestID: expect.any(String) });
    expect(stranger.tries).toHaveLength(1);
    const alice = openSdk(instance.url, { apiKey: secrets.alice }).client;
    const bob = openSdk(instance.url, { apiKey: secrets.bob }).client;
    const { id } = await alice.responses.create({ model: 'o3', input: 'Mine?' });
    for (const call of [
      () => bob.responses.retrieve(id),
      () => bob.responses.retrieve(id, { stream: true }),
      () => bob.responses.cancel(id),
      () => bob.responses.delete(id),
      () => bob.responses.inputItems.list(id),
    ]) {
      expect(await caught(call())).toBeInstanceOf(NotFoundError);
    }
    expect(await alice.responses.retrieve(id)).toMatchObject({ id });
  });

  it('refuses too many requests, and says how long to wait', async () => {
    const { client, tries } = openSdk(instance.url, { apiKey: secrets.bob, maxRetries: 0 });
    const errors: APIError[] = [];
    while (errors.length === 0 && tries.length < 20) {
      await client.models.list().catch((error: unknown) => errors.push(error as APIError));
    }
    expect(errors[0]).toBeInstanceOf(RateLimitError);
    expect(errors[0]).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' });
    expect(Number(errors[0]?.headers?.get('retry-after'))).toBeGreaterThan(0);
  });
});

describe('while Redis is away', () => {
  let redis: TestRedis;
  let instance: Instance;
  beforeAll(async () => {
    redis = await startTestRedis({ appendOnly: true });
    instance = await startInstance({ redis });
  });
  afterAll(async () => {
    await instance.stop();
    await redis.stop();
  });

  it('the SDK gets a 503 at once, and retries by itself', async () => {
    const { client, tries } = openSdk(instance.url, { maxRetries: 10 });
    const impatient = openSdk(instance.url, { maxRetries: 0 });
    await redis.kill('SIGKILL');
    const error = await caught(impatient.client.responses.create({ model: 'o3', input: 'Away?' }));
    expect(error).toBeInstanceOf(InternalServerError);
    expect(error).toMatchObject({ status: 503, code: 'redis_unavailable' });
    expect(error.headers?.get('retry-after-ms')).toBe('1000');
    const asked = client.responses.create({ model: 'o3', input: 'Back?' });
    await redis.restart();
    expect((await asked).output_text).toContain('Back?');
    expect(tries.length).toBeGreaterThan(1);
    expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 1 });
  });
});
