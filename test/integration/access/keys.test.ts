import type { Route } from '../../../producer/http/route.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobView } from '../../../src/job/view.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import { type Answer, type CallOptions, call, expectProblem } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
} as const;
type Tenant = keyof typeof KEYS;
const keys: ApiKey[] = Object.entries(KEYS).map(([name, secret]) => ({ name, secret }));

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ keys });
});
afterAll(() => instance.stop());

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

function as(tenant: Tenant, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const headers = { ...options.headers, ...bearer(KEYS[tenant]) };
  return call(instance.url, method, path, { ...options, headers });
}

async function enqueueAs(tenant: Tenant, question: string): Promise<JobView> {
  const answer = await as(tenant, 'POST', '/jobs', { body: { question } });
  expect(answer).toMatchObject({ status: 202, body: { tenant } });
  return answer.body as JobView;
}

const routes = everyRoute();
const label = ({ method, path }: Route): string => `${method.toUpperCase()} ${path}`;
const guarded = routes.filter(({ open }) => open !== true);
/** The routes of /v1 answer in OpenAI's format. */
const isOpenAis = (path: string): boolean => path.startsWith('/v1/');
/** The path of a route to the job with this id. */
const pathOf = (path: string, id: string): string =>
  path.replace(':id', isOpenAis(path) ? responseIdOf(id) : id);
/** Paths that are not in the table of routes. */
const others: [method: string, path: string][] = [
  ['GET', '/'],
  ['GET', '/board'],
  ['GET', '/board/'],
  ['GET', '/BOARD'],
  ['GET', '/board/static/index.js'],
  ['GET', '/board/api/queues'],
  ['PUT', '/board/api/queues/o3/pause'],
  ['POST', '/board/api/queues/o3/add'],
  ['GET', '/nothing-is-here'],
  ['PUT', '/jobs'],
  ['OPTIONS', '/jobs'],
  ['POST', '/logout/now'],
];

describe('without a key', () => {
  it('only health and the signed webhooks are open', () => {
    expect(routes.filter(({ open }) => open).map(label)).toEqual([
      'GET /livez',
      'GET /readyz',
      'POST /webhooks/openai',
    ]);
  });

  it('health is answered', async () => {
    expect(await call(instance.url, 'GET', '/livez')).toMatchObject({ status: 200 });
    expect(await call(instance.url, 'GET', '/readyz')).toMatchObject({ status: 200 });
    expectProblem(await call(instance.url, 'POST', '/webhooks/openai'), 404, 'webhooks_not_configured');
  });

  it.each([...guarded.map((route): [string, string] => [route.method.toUpperCase(), route.path]), ...others])(
    '%s %s is refused, whatever was sent in place of one',
    async (method, path) => {
      const { id } = await aliceJob;
      const target = pathOf(path, id);
      const refusals = [
        {},
        bearer(''),
        bearer('the-key-of-nobody-1234'),
        bearer(KEYS.alice.slice(0, -1)),
        bearer(`${KEYS.alice}x`),
        bearer(KEYS.alice.toUpperCase()),
        bearer(`${KEYS.alice} ${KEYS.alice}`),
        { authorization: KEYS.alice },
        { authorization: `Basic ${Buffer.from(`alice:${KEYS.alice}`).toString('base64')}` },
        { cookie: 'o3q_session=eyJ0ZW5hbnQiOiJhbGljZSIsInVudGlsIjo5ZTE1fQ==; o3q_session.sig=' },
        { 'x-api-key': KEYS.alice },
      ];
      for (const headers of refusals) {
        const answer = await call(instance.url, method, target, { headers });
        expect(answer).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
        expect(answer.headers['set-cookie']).toBeUndefined();
        if (isOpenAis(path)) {
          const error = { message: expect.stringMatching(/key/), type: 'invalid_request_error', param: null };
          expect(answer.body).toEqual({ error: { ...error, code: 'invalid_api_key' } });
        } else {
          expectProblem(answer, 401, 'unauthorized');
          expect(Object.keys(answer.body as object)).toEqual(['type', 'title', 'status', 'code', 'detail']);
        }
      }
    },
  );

  it('a request is refused before its body is read', async () => {
    const answer = await call(instance.url, 'POST', '/jobs', { body: '{"question": ' });
    expectProblem(answer, 401, 'unauthorized');
  });
});

/** A job that is delayed until tomorrow, so that it does not change. */
let aliceJob: Promise<JobView>;
beforeAll(async () => {
  aliceJob = as('alice', 'POST', '/jobs', { body: { question: 'Mine?', delay_ms: 86_400_000 } }).then(
    ({ body }) => body as JobView,
  );
  await aliceJob;
});

describe('a tenant', () => {
  it('has its own jobs, with any spelling of Bearer', async () => {
    const { id } = await aliceJob;
    for (const authorization of [`Bearer ${KEYS.alice}`, `bearer ${KEYS.alice}`, `BEARER  ${KEYS.alice} `]) {
      const answer = await call(instance.url, 'GET', `/jobs/${id}`, { headers: { authorization } });
      expect(answer).toMatchObject({ status: 200, body: { id, tenant: 'alice' } });
    }
  });

  it.each(guarded.filter(({ path }) => path.includes(':id')).map((route) => [label(route), route] as const))(
    '%s reveals nothing about a job of another tenant, not even that it is there',
    async (_label, { method, path }) => {
      const { id } = await aliceJob;
      const missing = `job_${'0'.repeat(32)}`;
      const [bobs, none] = await Promise.all(
        [id, missing].map((target) => as('bob', method.toUpperCase(), pathOf(path, target))),
      );
      if (bobs === undefined || none === undefined) throw new Error('expected two answers');
      expect(bobs.status).toBe(404);
      if (!isOpenAis(path)) expectProblem(bobs, 404, 'job_not_found');
      const told = (answer: Answer, target: string) =>
        JSON.stringify(answer.body).replaceAll(target, 'ID').replaceAll(responseIdOf(target), 'ID');
      expect(told(bobs, id)).toBe(told(none, missing));
      expect(await as('alice', 'GET', `/jobs/${id}`)).toMatchObject({
        status: 200,
        body: { status: 'delayed' },
      });
    },
  );

  it('lists only its own jobs, and is refused those of others', async () => {
    const { id } = await aliceJob;
    const bobs = await enqueueAs('bob', 'Whose?');
    const listed = async (tenant: Tenant, query: string): Promise<string[]> => {
      const answer = await as(tenant, 'GET', `/jobs${query}`);
      expect(answer).toMatchObject({ status: 200 });
      return (answer.body as { jobs: JobView[] }).jobs.map((job) => job.id);
    };
    expect(await listed('bob', '')).toEqual([bobs.id]);
    expect(await listed('bob', '?tenant=bob')).toEqual([bobs.id]);
    expect(await listed('bob', '?q=Mine')).toEqual([]);
    for (const tenant of ['alice', 'admin', 'nobody']) {
      expectProblem(await as('bob', 'GET', `/jobs?tenant=${tenant}`), 403, 'forbidden');
    }
    expect(await listed('alice', '')).toEqual([id]);
    expect(await listed('admin', '')).toEqual([bobs.id, id]);
    expect(await listed('admin', '?tenant=alice')).toEqual([id]);
    expect(await listed('admin', '?tenant=nobody')).toEqual([]);
  });

  it.each([
    ['GET', '/board'],
    ['GET', '/BOARD/'],
    ['GET', '/board/static/index.js'],
    ['GET', '/board/api/queues'],
    ['PUT', '/board/api/queues/o3/pause'],
    ['POST', '/board/api/queues/o3/add'],
    ['GET', '/models'],
    ['GET', '/scaling'],
  ])('may not %s %s, which concerns the jobs of all tenants', async (method, path) => {
    expectProblem(await as('alice', method, path), 403, 'forbidden');
  });
});

describe('an admin', () => {
  it('sees, cancels and deletes the jobs of all tenants', async () => {
    const { id } = await enqueueAs('bob', 'May the admin?');
    expect(await as('admin', 'GET', `/jobs/${id}`)).toMatchObject({ status: 200, body: { tenant: 'bob' } });
    const answer = await as('admin', 'GET', `/jobs/${id}/result?wait=10`);
    expect(answer).toMatchObject({ status: 200 });
    expect(await as('admin', 'DELETE', `/jobs/${id}`)).toMatchObject({ status: 204 });
  });

  it('can open the board', async () => {
    expect(await as('admin', 'GET', '/')).toMatchObject({ status: 302, headers: { location: '/jobs' } });
    expect(await as('admin', 'GET', '/board')).toMatchObject({ status: 200 });
    const queues = await as('admin', 'GET', '/board/api/queues');
    expect(queues).toMatchObject({ status: 200, body: { queues: [{ name: 'o3' }] } });
    expect(await as('alice', 'GET', '/')).toMatchObject({ status: 302, headers: { location: '/jobs' } });
  });
});

describe('o3q and the client', () => {
  it('send O3Q_API_KEY, and say that it is missing', async () => {
    const alice = await o3q(['list', '--json'], {
      environment: { O3Q_URL: instance.url, O3Q_API_KEY: KEYS.alice },
    });
    expect(alice).toMatchObject({ code: 0, stdout: expect.stringContaining((await aliceJob).id) });
    const withoutKey = await o3q(['list'], { environment: { O3Q_URL: instance.url } });
    expect(withoutKey).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Expected a key, got none: .*set O3Q_API_KEY/),
    });
    const wrong = await o3q(['list'], {
      environment: { O3Q_URL: instance.url, O3Q_API_KEY: 'an-old-secret-1234' },
    });
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/got an unknown key: .*check O3Q_API_KEY/),
    });
    expect(wrong.stderr).not.toContain('an-old-secret');
  });

  it('report a refusal with its code', async () => {
    const client = new O3Client({ url: instance.url, apiKey: KEYS.alice });
    await expect(client.list({ tenant: 'bob' })).rejects.toMatchObject({ code: 'forbidden', status: 403 });
    const unknown = new O3Client({ url: instance.url, apiKey: 'an-unknown-key-1234' });
    await expect(unknown.enqueue({ question: 'Hm?' })).rejects.toMatchObject({
      code: 'unauthorized',
      status: 401,
    });
  });
});

describe('wrong keys', () => {
  it('are limited and logged by address, and right keys from there go on', async () => {
    const own = await startInstance({ keys, workers: 0, redis: instance.redis });
    try {
      const list = (secret: string) =>
        call(own.url, 'GET', '/jobs', { headers: { authorization: `Bearer ${secret}` } });
      const statuses: number[] = [];
      for (let i = 0; i < 301; i += 1) statuses.push((await list(`a-wrong-key-${i}-of-many`)).status);
      expect(statuses).toEqual([...Array(300).fill(401), 429]);
      const refused = await list('a-wrong-key-too-many');
      expectProblem(refused, 429, 'too_many_requests');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(await list(keys[0]?.secret ?? '')).toMatchObject({ status: 200 });
      const logged = own.logLines.filter((line) => line.includes('wrong key'));
      expect(logged.map((line) => JSON.parse(line) as object)).toEqual([
        expect.objectContaining({ msg: 'a wrong key was sent', address: '127.0.0.1', path: '/jobs' }),
        expect.objectContaining({ msg: 'too many wrong keys: this address gets 429 for a minute' }),
      ]);
      expect(own.logLines.filter((line) => line.includes('a-wrong-key'))).toEqual([]);
    } finally {
      await own.stop();
    }
  });
});

describe('the rate of requests', () => {
  it('is limited for each key separately, and health is not counted', async () => {
    const slow = await startInstance({
      keys,
      http: { requestsPerMinute: 3 },
      workers: 0,
      redis: instance.redis,
    });
    try {
      const list = (tenant: Tenant) => call(slow.url, 'GET', '/jobs', { headers: bearer(KEYS[tenant]) });
      const statuses = async (tenant: Tenant) =>
        (await Promise.all([1, 2, 3, 4].map(() => list(tenant)))).map(({ status }) => status).toSorted();
      expect(await statuses('alice')).toEqual([200, 200, 200, 429]);
      expect(await statuses('bob')).toEqual([200, 200, 200, 429]);
      const refused = await list('alice');
      expectProblem(refused, 429, 'too_many_requests');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
      for (let i = 0; i < 5; i += 1)
        expect(await call(slow.url, 'GET', '/readyz')).toMatchObject({ status: 200 });
    } finally {
      await slow.stop();
    }
  });
});

it('every answer has security headers for browsers', async () => {
  const answers = [
    await call(instance.url, 'GET', '/livez'),
    await call(instance.url, 'GET', '/jobs'),
    await as('alice', 'GET', '/jobs'),
    await as('admin', 'GET', '/board'),
    await as('alice', 'GET', '/nothing-is-here'),
  ];
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'same-origin',
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
    });
    expect(headers).not.toHaveProperty('strict-transport-security');
    expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    expect(headers).not.toHaveProperty('x-powered-by');
  }
});

it('no secret is in the log, and no error was unexpected', () => {
  expect(instance.logLines.filter((line) => Object.values(KEYS).some((key) => line.includes(key)))).toEqual(
    [],
  );
  expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
});
