import { O3Client } from '../../../src/client/o3-client.ts';
import { type Answer, type CallOptions, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const ADMIN = 'the-key-of-the-administrator';
const BASE = '/tools/o3q';
const KEY = { authorization: `Bearer ${ADMIN}` };
const PAGE = { accept: 'text/html' };

describe('an instance under a path', () => {
  let instance: Instance;
  let session: Record<string, string>;
  let failed: string;
  let completed: string;
  beforeAll(async () => {
    instance = await startInstance({
      keys: [{ name: 'admin', secret: ADMIN }],
      http: { basePath: BASE },
    });
    const body = new URLSearchParams({ key: ADMIN, next: '/console/jobs' }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' };
    const login = await send('POST', `${BASE}/login`, { body, headers });
    expect(login).toMatchObject({ status: 303, headers: { location: `${BASE}/console/jobs` } });
    const cookies = login.headers['set-cookie'];
    if (!Array.isArray(cookies)) throw new Error('expected cookies');
    // A browser sends the cookie to this instance and not to its neighbours on the host.
    for (const cookie of cookies) expect(cookie).toContain(`; path=${BASE};`);
    session = { cookie: cookies.map((cookie) => cookie.split(';')[0]).join('; '), ...PAGE };
    failed = await ask({ question: 'Bad?', max_attempts: 1, metadata: { sim: '500' } });
    completed = await ask({ question: 'Good?' });
    const client = new O3Client({ url: instance.url, apiKey: ADMIN });
    await Promise.all([client.wait(failed), client.wait(completed)]);
  });
  afterAll(() => instance.stop());

  const send = (method: string, path: string, options: CallOptions = {}): Promise<Answer> =>
    call(instance.url, method, path, options);
  async function ask(body: object): Promise<string> {
    const answer = await send('POST', `${BASE}/jobs`, { body, headers: KEY });
    const { id } = answer.body as { id: string };
    expect(answer).toMatchObject({ status: 202, headers: { location: `${BASE}/jobs/${id}` } });
    return id;
  }

  it('answers with its path, and without it when a proxy has removed it', async () => {
    for (const prefix of [BASE, '']) {
      expect(await send('GET', `${prefix}/livez`)).toMatchObject({ status: 200 });
      expect(await send('GET', `${prefix}/jobs?limit=1`, { headers: KEY })).toMatchObject({ status: 200 });
      expect(await send('GET', `${prefix}/v1/models`, { headers: KEY })).toMatchObject({ status: 200 });
      const agent = { ...KEY, accept: 'application/json, text/event-stream' };
      const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
      expect(await send('POST', `${prefix}/mcp`, { body: ping, headers: agent })).toMatchObject({
        status: 200,
      });
      expect(await send('POST', `${prefix}/mcp`, { body: '{"jsonrpc": ', headers: agent })).toMatchObject({
        status: 400,
        body: { jsonrpc: '2.0', error: { code: -32700 } },
      });
    }
    expect(await send('GET', BASE, { headers: session })).toMatchObject({ status: 200 });
    expect(await send('GET', `${BASE}?x`, { headers: session })).toMatchObject({ status: 200 });
    expect(await send('GET', `${BASE}x/jobs`, { headers: KEY })).toMatchObject({ status: 404 });
    expect(await send('GET', `${BASE}${BASE}/jobs`, { headers: KEY })).toMatchObject({ status: 404 });
  });

  it.each([BASE, ''])('leads a browser that came by "%s" through its login', async (prefix) => {
    const path = `/console/jobs?status=failed`;
    expect(await send('GET', `${prefix}${path}`, { headers: PAGE })).toMatchObject({
      status: 303,
      headers: { location: `${BASE}/login?next=${encodeURIComponent(path)}` },
    });
    const form = await send('GET', `${prefix}/login?next=/board`, { headers: PAGE });
    expect(form.body).toContain(`action="${BASE}/login"`);
    const own = await send('GET', `${prefix}/login`, { headers: session });
    expect(own.body).toContain(`<a href="${BASE}/">`);
    expect(own.body).toContain(`action="${BASE}/logout"`);
  });

  it('makes every link of every page below its path', async () => {
    const action = await send('POST', '/jobs/retry', {
      body: { filter: { status: 'failed', q: 'matches none' } },
      headers: KEY,
    });
    const pages = [
      '/',
      '/console/jobs',
      '/console/jobs?limit=1&status=failed',
      '/console/failures',
      '/console/cost',
      '/console/tenants',
      '/console/audit',
      '/console/ask',
      '/console/selection?kind=retry&status=failed',
      `/console/actions/${(action.body as { id: string }).id}`,
      `/console/jobs/${failed}`,
      `/console/jobs/${completed}`,
      '/console/jobs/job_unknown',
      '/docs',
      '/board',
    ];
    const links = new Set<string>();
    for (const path of pages) {
      const { body } = await send('GET', `${BASE}${path}`, { headers: session });
      for (const [, link = ''] of String(body).matchAll(/\b(?:href|src|action)="([^"#?][^"]*)"/g)) {
        links.add(link.replaceAll('&amp;', '&'));
      }
      const [, map] = /<script type="importmap">(.*?)<\/script>/.exec(String(body)) ?? [];
      if (map === undefined) continue;
      for (const address of Object.values((JSON.parse(map) as { imports: object }).imports))
        links.add(address);
    }
    const inside = [...links].filter((link) => link.startsWith(`${BASE}/`));
    // The page of the board names its files from its <base>, and a page of a form may lead to itself.
    expect([...links].filter((link) => !inside.includes(link) && !/^static\//.test(link))).toEqual([]);
    expect(links).toContain(`${BASE}/board/`);
    const forms = ['/logout', '/console/ask', '/console/selection'].map((path) => `${BASE}${path}`);
    for (const form of forms) expect(inside).toContain(form);
    for (const link of inside.filter(
      (each) => !/\/(logout|cancel|retry|delete|ask-again|actions|selection)$/.test(each),
    )) {
      const answer = await send('GET', link, { headers: session });
      expect({ link, status: answer.status }).toEqual({ link, status: 200 });
    }
  });

  it('redirects below its path after each form', async () => {
    const headers = {
      ...session,
      'content-type': 'application/x-www-form-urlencoded',
      'sec-fetch-site': 'same-origin',
    };
    const press = async (path: string, body = ''): Promise<unknown> => {
      const answer = await send('POST', `${BASE}${path}`, { body, headers });
      expect(answer).toMatchObject({ status: 303 });
      return answer.headers['location'];
    };
    expect(await press('/console/models/o3/resume')).toBe(`${BASE}/`);
    expect(await press('/console/actions', 'kind=retry&error=none')).toMatch(
      new RegExp(`^${BASE}/console/actions/\\w`),
    );
    expect(await press('/console/ask', 'question=Why%3F')).toMatch(new RegExp(`^${BASE}/console/jobs/job_`));
    expect(await press(`/console/jobs/${failed}/retry`)).toBe(`${BASE}/console/jobs/${failed}`);
    expect(await press(`/console/jobs/${completed}/delete`)).toBe(`${BASE}/console/jobs`);
    expect(await press('/logout')).toBe(`${BASE}/login`);
  });

  it('names its path in the API document, on the board and in refusals', async () => {
    const { body: document } = await send('GET', `${BASE}/openapi.json`, { headers: KEY });
    expect(document).toMatchObject({ servers: [{ url: BASE }] });
    expect((await send('GET', `${BASE}/docs/start.js`, { headers: KEY })).body).toContain(
      `url: '${BASE}/openapi.json'`,
    );
    expect((await send('GET', `${BASE}/board`, { headers: session })).body).toContain(`"${BASE}/board/"`);
    expect((await send('GET', `${BASE}/nowhere`, { headers: KEY })).body).toMatchObject({
      code: 'route_not_found',
      detail: expect.stringContaining(`jobs are at ${BASE}/jobs`),
    });
  });

  it('is the instance of a client whose URL has the path', async () => {
    const client = new O3Client({ url: `${instance.url}${BASE}/`, apiKey: ADMIN });
    const { id } = await client.enqueue({ question: 'Behind a proxy?' });
    const types: string[] = [];
    for await (const { type } of client.events(id)) types.push(type);
    expect(types.at(-1)).toBe('done');
    expect(await client.result(id)).toMatchObject({ status: 'completed' });
  });
});
