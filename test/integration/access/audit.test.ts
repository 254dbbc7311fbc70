import { Redis } from 'ioredis';
import type { AuditPage } from '../../../src/audit/audit.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = ['admin', 'alice', 'bob'].map((name) => ({ name, secret: `the-key-of-${name}` }));

/** Far more than the log keeps. */
const LOG_ENTRIES = 100_000;

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
  entries.map(({ by: who, what, subject, outcome }) => `${who} ${what} ${subject}: ${outcome}`);

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

  const alices = [
    `alice login alice: logged in`,
    `admin job.retry ${one}: retried`,
    `alice job.cancel ${one}: cancelled`,
  ];
  const bobs = [
    `bob action.start ${action}: cancel of 0 jobs`,
    `bob job.delete ${two}: deleted`,
    `bob job.cancel ${two}: cancelled`,
  ];
  expect(acts(await audit('alice'))).toEqual(alices);
  expect(acts(await audit('bob'))).toEqual(bobs);
  expect(acts(await audit('admin'))).toEqual([
    'alice login alice: logged in',
    'admin model.resume o3: was not paused',
    ...bobs,
    `admin job.retry ${one}: retried`,
    `alice job.cancel ${one}: cancelled`,
  ]);
  const first = await audit('admin', '?limit=3');
  expect(first.entries).toHaveLength(3);
  const rest = await audit('admin', `?limit=100&cursor=${first.next_cursor}`);
  expect(rest.entries).toHaveLength(4);
  expect(rest.next_cursor).toBeNull();
  for (const { at } of rest.entries) expect(Date.now() - Date.parse(at)).toBeLessThan(600_000);

  const client = new O3Client({ url: instance.url, apiKey: 'the-key-of-bob' });
  expect(acts(await client.audit())).toEqual(bobs);
  const { next_cursor: cursor } = await client.audit({ limit: 1 });
  expect(acts(await client.audit({ cursor: cursor ?? '' }))).toEqual(bobs.slice(1));
  const since = rest.entries[0]?.at ?? '';
  const later = await client.audit({ since });
  for (const { at } of later.entries) expect(Date.parse(at)).toBeGreaterThanOrEqual(Date.parse(since));
  expect((await client.audit({ since: '2999-01-01T00:00:00Z' })).entries).toEqual([]);

  const run = (key: string, ...args: string[]) =>
    o3q(['audit', ...args], {
      environment: { O3Q_URL: instance.url, O3Q_API_KEY: `the-key-of-${key}` },
    });
  const table = await run('bob');
  expect(table).toMatchObject({ code: 0, stderr: '' });
  const lines = table.stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^TIME +WHO +WHAT +ON +OUTCOME$/);
  expect(lines[3]).toMatch(new RegExp(`^\\S+Z  bob  job\\.cancel +${two} +cancelled$`));
  expect(lines).toHaveLength(4);
  const json = await run('admin', '--json', '--limit', '200', '--since', '1h');
  expect(acts(JSON.parse(json.stdout) as AuditPage)).toHaveLength(7);
  expect((await run('alice', '--since', '2999-01-01')).stderr).toMatch(/^No acts/);

  const page = await call(instance.url, 'GET', '/console/audit', {
    headers: { authorization: 'Bearer the-key-of-bob', accept: 'text/html' },
  });
  expect(String(page.body)).toContain(two);
  expect(String(page.body)).not.toContain(one);
});

const pageOf = (key: string, id: string): Promise<Answer> =>
  call(instance.url, 'GET', `/console/jobs/${id}`, {
    headers: { authorization: `Bearer the-key-of-${key}`, accept: 'text/html' },
  });

/** The words of the section Audit of a page. */
function auditSection({ body }: Answer): string {
  const [, section = ''] = /aria-label="Audit">(.*?)<\/section>/s.exec(String(body)) ?? [];
  return section.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ');
}

it('the page of a job says who has cancelled, retried and deleted it, alone or with many', async () => {
  const body = { question: 'Whose?', metadata: { of: 'the-page' } };
  const { id } = (await by('alice', 'POST', '/jobs', body)).body as JobView;
  expect(auditSection(await pageOf('alice', id))).toBe('');
  const act = async (key: string, kind: string): Promise<string> => {
    const filter = { metadata: body.metadata };
    const started = await by(key, 'POST', `/jobs/${kind}`, { filter });
    const action = (started.body as { id: string }).id;
    await eventually(async () => {
      expect((await by(key, 'GET', `/actions/${action}`)).body).toMatchObject({ status: 'done', done: 1 });
    }, 20_000);
    return action;
  };
  await by('alice', 'POST', `/jobs/${id}/cancel`);
  await by('admin', 'POST', `/jobs/${id}/retry`);
  const cancelling = await act('alice', 'cancel');
  await by('admin', 'POST', `/jobs/${id}/retry`);
  await by('alice', 'POST', `/jobs/${id}/cancel`);
  for (const key of ['alice', 'admin']) {
    const section = auditSection(await pageOf(key, id));
    expect(section.match(/(cancelled|retried) by \w+( with all jobs of act_\w+)?/g)).toEqual([
      'cancelled by alice',
      'retried by admin',
      `cancelled by alice with all jobs of ${cancelling}`,
      'retried by admin',
      'cancelled by alice',
    ]);
  }
  await by('admin', 'DELETE', `/jobs/${id}`);
  for (const key of ['alice', 'admin']) {
    const missing = await pageOf(key, id);
    expect(missing.status).toBe(404);
    expect(auditSection(missing)).toMatch(/: deleted by admin $/);
  }

  const other = (await by('alice', 'POST', '/jobs', body)).body as JobView;
  await by('alice', 'POST', `/jobs/${other.id}/cancel`);
  const deleting = await act('alice', 'delete');
  expect(auditSection(await pageOf('alice', other.id))).toMatch(
    new RegExp(`alice deleted all jobs of ${deleting} , perhaps this one`),
  );
  for (const foreign of [id, other.id]) {
    const seen = await pageOf('bob', foreign);
    expect(seen.status).toBe(404);
    expect(String(seen.body)).not.toMatch(/alice|admin|act_/);
  }
});

it('what the page of a job reads does not grow with the log', async () => {
  const redis = new Redis(instance.redis.url);
  const calls = async (command: string): Promise<number> =>
    Number(
      new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(await redis.info('commandstats'))?.[1] ?? 0,
    );
  await redis.eval(
    `for i = 1, ${LOG_ENTRIES} do redis.call('XADD', KEYS[1], '*', 'what', 'login', 'subject', 'alice', 'by', 'alice') end`,
    1,
    'o3q:{audit}',
  );
  const { id } = (await by('alice', 'POST', '/jobs', { question: 'Among many?' })).body as JobView;
  await by('alice', 'POST', `/jobs/${id}/cancel`);
  const before = await calls('xrevrange');
  expect(auditSection(await pageOf('admin', id))).toMatch(/cancelled by alice $/);
  expect(await calls('xrevrange')).toBe(before);
  // An id without a time, as from an idempotency key: the whole log is looked through.
  expect((await pageOf('admin', 'job_of-another-client')).status).toBe(404);
  expect((await calls('xrevrange')) - before).toBe(21);
  redis.disconnect();
});

it.each(['since=yesterday', 'cursor=x', 'limit=0', 'limit=101', 'page=2'])(
  'GET /audit?%s is refused',
  async (query) => {
    const answer = await by('admin', 'GET', `/audit?${query}`);
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  },
);
