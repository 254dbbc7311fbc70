import type { AuditPage } from '../../../src/audit/audit.ts';
import type { JobView } from '../../../src/job/view.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = ['admin', 'alice', 'bob'].map((name) => ({ name, secret: `the-key-of-${name}` }));

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ workers: 0, keys: KEYS });
});
afterAll(() => instance.stop());

const by = (key: string, method: string, path: string, body?: unknown): Promise<Answer> =>
  call(instance.url, method, path, { headers: { authorization: `Bearer the-key-of-${key}` }, body });

async function audit(key: string, query = ''): Promise<AuditPage> {
  const answer = await by(key, 'GET', `/audit${query}`);
  expect(answer.status).toBe(200);
  return answer.body as AuditPage;
}

const acts = ({ entries }: AuditPage): string[] =>
  entries.map(({ by: who, what, subject }) => `${who} ${what} ${subject}`);

it('says who has done what, to admin of all, and to a tenant of its own acts and of those on its jobs', async () => {
  const enqueue = async (key: string): Promise<string> =>
    ((await by(key, 'POST', '/jobs', { question: 'Mine?' })).body as JobView).id;
  const [one, two] = [await enqueue('alice'), await enqueue('bob')];
  await by('alice', 'POST', `/jobs/${one}/cancel`);
  // A second cancel changes nothing.
  await by('alice', 'POST', `/jobs/${one}/cancel`);
  await by('admin', 'POST', `/jobs/${one}/retry`);
  await by('bob', 'POST', `/jobs/${two}/cancel`);
  await by('bob', 'DELETE', `/jobs/${two}`);
  const { body } = await by('bob', 'POST', '/jobs/cancel', { filter: {} });
  const action = (body as { id: string }).id;
  await by('admin', 'POST', '/models/o3/resume');
  const login = await call(instance.url, 'POST', '/login', {
    body: 'key=the-key-of-alice',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' },
  });
  expect(login.status).toBe(303);

  const alices = [`alice login alice`, `admin job.retry ${one}`, `alice job.cancel ${one}`];
  const bobs = [`bob action.start ${action}`, `bob job.delete ${two}`, `bob job.cancel ${two}`];
  expect(acts(await audit('alice'))).toEqual(alices);
  expect(acts(await audit('bob'))).toEqual(bobs);
  expect(acts(await audit('admin'))).toEqual([
    'alice login alice',
    'admin model.resume o3',
    ...bobs,
    `admin job.retry ${one}`,
    `alice job.cancel ${one}`,
  ]);
  const first = await audit('admin', '?limit=3');
  expect(first.entries).toHaveLength(3);
  const rest = await audit('admin', `?limit=100&cursor=${first.next_cursor}`);
  expect(rest.entries).toHaveLength(4);
  expect(rest.next_cursor).toBeNull();
  for (const { at } of rest.entries) expect(Date.now() - Date.parse(at)).toBeLessThan(600_000);

  const page = await call(instance.url, 'GET', '/console/audit', {
    headers: { authorization: 'Bearer the-key-of-bob', accept: 'text/html' },
  });
  expect(String(page.body)).toContain(two);
  expect(String(page.body)).not.toContain(one);
});

it.each(['cursor=x', 'limit=0', 'limit=101', 'page=2'])('GET /audit?%s is refused', async (query) => {
  const answer = await by('admin', 'GET', `/audit?${query}`);
  expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
});
