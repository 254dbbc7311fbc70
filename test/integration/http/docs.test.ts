import { openApiDocument } from '../../../producer/openapi/document.ts';
import { ownVersion } from '../../../src/process/own-version.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const document = openApiDocument(everyRoute(), ownVersion());
const paths = Object.entries(document.paths ?? {});

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ workers: 0 });
});
afterAll(() => instance.stop());

function get(path: string): Promise<Answer> {
  return call(instance.url, 'GET', path);
}

test('GET /openapi.json describes this version and every route', async () => {
  const { status, body } = await get('/openapi.json');
  expect(status).toBe(200);
  expect(body).toEqual(JSON.parse(JSON.stringify(document)));
  expect(ownVersion()).toMatch(/^\d+\.\d+\.\d+/);
});

test.each(paths)('%s answers the documented methods and no others', async (path, item) => {
  const methods = Object.keys(item).map((method) => method.toUpperCase());
  const served = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  const { status, headers } = await call(instance.url, 'PUT', path.replaceAll(/\{\w+\}/g, 'some'));
  expect(status).toBe(405);
  expect(String(headers['allow']).split(', ').toSorted()).toEqual(served.toSorted());
});

const withCheckedQuery = everyRoute().filter(
  ({ operation }) => operation.query !== undefined && operation.refusals !== 'envelope',
);

test.each(withCheckedQuery)('$method $path accepts the documented query', async (route) => {
  const path = route.path.replaceAll(/:\w+/g, 'some');
  const { status, body } = await call(instance.url, route.method.toUpperCase(), `${path}?nonsense=1`, {
    ...(route.method === 'post' && { body: {} }),
  });
  expect(status).toBe(400);
  const documented = Object.keys(route.operation.query?.shape ?? {});
  const expected = documented.length === 0 ? 'nothing' : `only ${documented.join(', ')}`;
  expect(body).toMatchObject({ flaws: [{ path: '', message: `expected ${expected}, got "nonsense"` }] });
});

test('GET /docs is a page that loads its scripts and data from this server only', async () => {
  const page = await get('/docs');
  expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } });
  const policy = String(page.headers['content-security-policy']);
  expect(policy).toContain("default-src 'none'; script-src 'self'; ");
  expect(policy).toContain("connect-src 'self'; ");
  const addresses = [...String(page.body).matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
  expect(addresses.length).toBe(4);
  for (const address of addresses) {
    expect(address).toMatch(/^\/docs\//);
    expect({ address, ...(await get(address)) }).toMatchObject({ address, status: 200 });
  }
});

test.each(['/docs/package.json', '/docs/index.html', '/docs/..%2f..%2fpackage.json', '/docs/swagger-ui.js'])(
  '%s is not served, because the page does not need it',
  async (path) => {
    expect(await get(path)).toMatchObject({ status: 404, body: { code: 'route_not_found' } });
  },
);

test('with keys, the page and the document need a key, and a browser is sent to the login', async () => {
  const secret = 'sesame-of-the-docs-0123456789abcdef';
  const guarded = await startInstance({ workers: 0, keys: [{ name: 'alice', secret }] });
  const read = (path: string, headers: Record<string, string>) => call(guarded.url, 'GET', path, { headers });
  try {
    const [refused, toLogin] = [
      await read('/openapi.json', {}),
      await read('/docs', { accept: 'text/html' }),
    ];
    expect(refused).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
    expect(toLogin).toMatchObject({ status: 303, headers: { location: '/login?next=%2Fdocs' } });
    const authorization = `Bearer ${secret}`;
    for (const path of ['/openapi.json', '/docs', '/docs/start.js']) {
      expect(await read(path, { authorization })).toMatchObject({ status: 200 });
    }
  } finally {
    await guarded.stop();
  }
});
