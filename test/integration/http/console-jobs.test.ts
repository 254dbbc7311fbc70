import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const HOSTILE = `"></option></script><script>alert(1)</script><img src=x onerror=alert(1)>`;
const KEYS = ['admin', 'alice', 'bob'].map((name) => ({ name, secret: `the-key-of-${name}` }));

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({ workers: 0, keys: KEYS });
});
afterAll(() => instance.stop());

const as = (key: string, more: Record<string, string> = {}) => ({
  authorization: `Bearer the-key-of-${key}`,
  ...more,
});

async function enqueueAs(key: string, question: string, more: object = {}): Promise<string> {
  const answer = await call(instance.url, 'POST', '/jobs', {
    body: { question, ...more },
    headers: as(key),
  });
  return (answer.body as JobView).id;
}

async function page(key: string, path: string): Promise<string> {
  const answer = await call(instance.url, 'GET', path, { headers: as(key, { accept: 'text/html' }) });
  expect(answer).toMatchObject({ status: 200 });
  return String(answer.body);
}

const press = (key: string, path: string, fields: Record<string, string>): Promise<Answer> =>
  call(instance.url, 'POST', path, {
    body: String(new URLSearchParams(fields)),
    headers: as(key, { 'content-type': 'application/x-www-form-urlencoded' }),
  });

/** The ids of the jobs on a page, in their order. */
const idsIn = (html: string): string[] =>
  [...html.matchAll(/<input type="checkbox" name="id" value="([^"]+)"/g)].map(([, id]) => id ?? '');

it('the page lists, filters and pages through jobs without scripts, and shows a tenant its own only', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 55; i += 1) {
    ids.unshift(await enqueueAs('alice', `Number ${i}?`, i % 10 === 0 ? { metadata: { team: 'a=b' } } : {}));
  }
  const bobs = await enqueueAs('bob', 'Of Bob?');
  const first = await page('alice', '/console/jobs');
  expect(idsIn(first)).toEqual(ids.slice(0, 50));
  const older = /<a href="([^"]+)" rel="next">/.exec(first)?.[1]?.replaceAll('&amp;', '&') ?? '';
  const second = await page('alice', older);
  expect(idsIn(second)).toEqual(ids.slice(50));
  const newer = /<a href="([^"]+)" rel="prev">/.exec(second)?.[1]?.replaceAll('&amp;', '&') ?? '';
  expect(idsIn(await page('alice', newer))).toEqual(ids.slice(0, 50));
  expect(idsIn(await page('alice', '/console/jobs?q=&status=&pair=team%3Da%3Db'))).toHaveLength(6);
  expect(idsIn(await page('bob', '/console/jobs'))).toEqual([bobs]);
  expect(await page('bob', '/console/jobs')).not.toContain('name="tenant"');
  expect(idsIn(await page('admin', '/console/jobs?tenant=bob'))).toEqual([bobs]);
  const foreign = await call(instance.url, 'GET', '/console/jobs?tenant=alice', {
    headers: as('bob', { accept: 'text/html' }),
  });
  expect(foreign.status).toBe(403);
});

it('a stranger’s words in questions, metadata and filters run nowhere', async () => {
  const id = await enqueueAs('bob', HOSTILE, { metadata: { [HOSTILE.slice(0, 40)]: HOSTILE } });
  const query = new URLSearchParams({ q: HOSTILE.slice(0, 90), error: HOSTILE, pair: `x=${HOSTILE}` });
  const pages = [
    await page('bob', '/console/jobs'),
    await page('bob', `/console/jobs?${query}`),
    await page('bob', `/console/selection?kind=cancel&${query}`),
    await page('bob', `/console/selection?kind=cancel&id=${encodeURIComponent(HOSTILE)}`),
  ];
  expect(idsIn(pages[0] ?? '')).toContain(id);
  for (const html of pages) expect(html).not.toMatch(/<script>|<img/);
});

it('all that match are cancelled after a question, and the action has a page with its progress', async () => {
  const mine = await Promise.all([1, 2, 3].map((n) => enqueueAs('alice', `Doomed ${n}?`)));
  const others = await enqueueAs('bob', 'Doomed too?');
  const asked = await page('alice', '/console/selection?kind=cancel&q=doomed');
  expect(asked).toContain('<h1>Cancel 3 jobs?</h1>');
  const started = await press('alice', '/console/actions', { kind: 'cancel', q: 'doomed' });
  expect(started.status).toBe(303);
  const path = String(started.headers['location']);
  expect(path).toMatch(/^\/console\/actions\/act_[0-9a-f]{32}$/);
  await eventually(async () => expect(await page('alice', path)).toContain('✓ done · 3 cancelled'));
  const statusOf = async (id: string) =>
    ((await call(instance.url, 'GET', `/jobs/${id}`, { headers: as('admin') })).body as JobView).status;
  expect(await Promise.all(mine.map(statusOf))).toEqual(['cancelled', 'cancelled', 'cancelled']);
  expect(await statusOf(others)).toBe('waiting');
  const seen = await call(instance.url, 'GET', path, { headers: as('bob', { accept: 'text/html' }) });
  expect(seen.status).toBe(404);
  const stopped = await press('bob', `${path}/stop`, {});
  expect(stopped.status).toBe(404);
});

it('checked jobs are changed one by one, and those of others are not', async () => {
  const mine = await enqueueAs('alice', 'Checked?');
  const others = await enqueueAs('bob', 'Not yours?');
  expect(await page('alice', `/console/selection?kind=cancel&id=${mine}&id=${others}`)).toContain(
    '<h1>Cancel 2 jobs?</h1>',
  );
  const answer = await call(instance.url, 'POST', '/console/selection', {
    body: `kind=cancel&id=${mine}&id=${others}`,
    headers: as('alice', { 'content-type': 'application/x-www-form-urlencoded' }),
  });
  expect(answer.status).toBe(200);
  expect(String(answer.body)).toContain('<h1>1 job cancelled</h1>');
  expect(String(answer.body)).toContain(`There is no job ${others}`);
});

it('a row of a search shows the match that its question does not show', async () => {
  await enqueueAs('alice', `${'Padding. '.repeat(30)}Where is the <b>Needle</b>?`);
  const html = await page('alice', '/console/jobs?q=%3Cb%3Eneedle');
  expect(html).toContain('Where is the <mark>&lt;b>Needle</mark>&lt;/b>?');
  expect(html).toContain('Looked at');
});

it('times without a zone, as a form sends them, are UTC, and stay in the form and in the links', async () => {
  const id = await enqueueAs('bob', 'When?');
  const { body } = await call(instance.url, 'GET', `/jobs/${id}`, { headers: as('bob') });
  const minute = 60_000 * Math.floor(Date.parse((body as JobView).created_at) / 60_000);
  const [before, after] = [minute, minute + 60_000].map((time) => new Date(time).toISOString().slice(0, 16));
  const html = await page('bob', `/console/jobs?since=${before}&until=${after}&q=when`);
  expect(idsIn(html)).toEqual([id]);
  expect(html).toContain(`<input type="datetime-local" name="since" value="${before}:00" step="any"/>`);
  expect(html).toContain(`<input type="hidden" name="until" value="${after}:00Z"/>`);
  expect(idsIn(await page('bob', `/console/jobs?until=${before}&q=when`))).toEqual([]);
  expect(idsIn(await page('bob', `/console/jobs?since=${before}:00.000Z&q=when`))).toEqual([id]);
});

it('a form without a kind of action is refused', async () => {
  expect((await press('alice', '/console/actions', { q: 'doomed' })).status).toBe(400);
  expect((await press('alice', '/console/selection', { kind: 'explode' })).status).toBe(400);
});
