import { type Answer, type CallOptions, call, expectProblem } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const ADMIN = 'the-key-of-the-administrator';
const KEY = { authorization: `Bearer ${ADMIN}` };
const keys = [{ name: 'admin', secret: ADMIN }];
const APP = 'https://app.example.com';
const EVIL = 'https://evil.example';
const body = { question: 'From a page?' };

let instance: Instance;
let keyless: Instance;
beforeAll(async () => {
  const corsOrigins = [APP, 'http://localhost:5173'];
  instance = await startInstance({ keys, workers: 0, http: { corsOrigins } });
  keyless = await startInstance({ workers: 0, http: { corsOrigins }, redis: instance.redis });
});
afterAll(async () => {
  await keyless.stop();
  await instance.stop();
});

const send = (method: string, path: string, options: CallOptions = {}): Promise<Answer> =>
  call(instance.url, method, path, options);
const preflight = (path: string, origin: string, headers = 'authorization'): Promise<Answer> =>
  send('OPTIONS', path, {
    headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': headers },
  });
const corsHeadersOf = ({ headers }: Answer): string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('a page of an allowed origin', () => {
  it.each(['/jobs', '/jobs/job_1/events', '/jobs/job_1/cancel', '/v1/responses', '/v1/models'])(
    'may call %s, as the preflight says',
    async (path) => {
      const asked =
        'authorization,content-type,idempotency-key,last-event-id,o3q-priority,openai-project,user-agent,' +
        'x-stainless-retry-count,x-evil,cookie';
      const answer = await preflight(path, APP, asked);
      expect(answer).toMatchObject({
        status: 204,
        headers: {
          'access-control-allow-origin': APP,
          'access-control-allow-methods': 'GET,HEAD,POST,DELETE',
          'access-control-allow-headers': asked.replace(',x-evil,cookie', ''),
          'access-control-max-age': '600',
          vary: expect.stringContaining('Origin'),
        },
      });
      expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
    },
  );

  it('reads answers and refusals, and the headers that it needs', async () => {
    const headers = { origin: APP, ...KEY };
    const allowed = {
      'access-control-allow-origin': APP,
      'access-control-expose-headers':
        'Location,O3Q-Ack,Retry-After,Retry-After-Ms,X-Request-Id,X-Should-Retry',
    };
    expect(await send('POST', '/jobs', { body, headers })).toMatchObject({ status: 202, headers: allowed });
    expect(await send('GET', '/v1/models', { headers })).toMatchObject({ status: 200, headers: allowed });
    const refused = await send('GET', '/jobs', { headers: { origin: APP } });
    expectProblem(refused, 401, 'unauthorized');
    expect(refused).toMatchObject({ headers: allowed });
    expect(await send('GET', '/v1/nothing', { headers })).toMatchObject({ status: 404, headers: allowed });
  });

  it.each([
    '/',
    '/console/jobs',
    '/board',
    '/login',
    '/logout',
    '/docs',
    '/usage',
    '/models',
    '/scaling',
    '/mcp',
  ])('may not call %s', async (path) => {
    expect(corsHeadersOf(await preflight(path, APP))).toEqual([]);
    expect(corsHeadersOf(await send('GET', path, { headers: { origin: APP, ...KEY } }))).toEqual([]);
  });

  it('cannot use the session of its visitor', async () => {
    const login = await send('POST', '/login', {
      body: new URLSearchParams({ key: ADMIN, next: '/' }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' },
    });
    const cookie = [login.headers['set-cookie']]
      .flat()
      .map((each) => each?.split(';')[0])
      .join('; ');
    for (const site of ['same-site', 'cross-site']) {
      const headers = { origin: APP, 'sec-fetch-site': site, cookie };
      expectProblem(await send('POST', '/jobs', { body, headers }), 403, 'forbidden');
    }
  });

  it('is refused an OPTIONS that is no preflight', async () => {
    const answer = await send('OPTIONS', '/jobs', { headers: { origin: APP, ...KEY } });
    expectProblem(answer, 405, 'method_not_allowed');
  });

  it('may use an instance without keys', async () => {
    const headers = { origin: 'http://localhost:5173', 'sec-fetch-site': 'same-site' };
    expect(await call(keyless.url, 'POST', '/jobs', { body, headers })).toMatchObject({ status: 202 });
    for (const path of ['/console/ask', '/mcp', '/models/o3/resume', '/board/api/queues/o3/pause']) {
      expect(await call(keyless.url, 'POST', path, { body: {}, headers })).toMatchObject({ status: 403 });
    }
  });
});

describe('a page of another origin', () => {
  it.each([EVIL, `${APP}.evil.example`, 'http://app.example.com', `${APP}:8443`, 'null'])(
    'such as %s is allowed nothing',
    async (origin) => {
      for (const answer of [
        await preflight('/jobs', origin),
        await send('POST', '/jobs', { body, headers: { origin, ...KEY } }),
        await send('GET', '/v1/models', { headers: { origin, ...KEY } }),
      ]) {
        expect(corsHeadersOf(answer)).toEqual([]);
        expect(answer.headers['vary']).toContain('Origin');
      }
      const headers = { origin };
      expectProblem(await call(keyless.url, 'POST', '/jobs', { body, headers }), 403, 'forbidden');
    },
  );
});
