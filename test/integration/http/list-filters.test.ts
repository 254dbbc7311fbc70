import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { listJobs } from '../../../src/job-store/list.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const keys = keysOf('o3q', 'o3');
const KEYS = [
  { name: 'admin', secret: 'admin-secret' },
  { name: 'alice', secret: 'alice-secret' },
  { name: 'bob', secret: 'bob-secret' },
];

let server: TestRedis;
let redis: Redis;
let instance: Instance;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});

afterEach(async () => {
  await instance.stop();
  await redis.flushall();
});

afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function page(query: string, key?: string): Promise<JobPage> {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}-secret` };
  const answer = await call(instance.url, 'GET', `/jobs${query}`, { headers });
  expect(answer).toMatchObject({ status: 200 });
  return answer.body as JobPage;
}

const byModel = ({ queues }: InstanceQueue) => new Map(queues.map((each) => [each.model, each]));

const idsOf = ({ jobs }: { jobs: readonly JobView[] }): string[] => jobs.map(({ id }) => id);

it('jobs are found by the code of their failure, until they are retried or deleted', async () => {
  instance = await startInstance({ redis: server, workers: 1 });
  const ids: string[] = [];
  for (const sim of ['400', 'none', '400']) {
    const { id } = await enqueue(instance.url, {
      question: `Bad ${sim}?`,
      ...(sim !== 'none' && { metadata: { sim } }),
    });
    await eventually(async () => {
      const { body } = await call(instance.url, 'GET', `/jobs/${id}`);
      expect(['failed', 'completed']).toContain((body as JobView).status);
    });
    ids.push(id);
  }
  const [first = '', , third = ''] = ids;
  const { body } = await call(instance.url, 'GET', `/jobs/${first}`);
  const { code } = (body as Extract<JobView, { status: 'failed' }>).error;
  expect(idsOf(await page(`?error=${code}`))).toEqual([third, first]);
  expect(idsOf(await page(`?error=${code}&status=failed&model=o3`))).toEqual([third, first]);
  expect(idsOf(await page('?error=timeout'))).toEqual([]);
  expect(idsOf(await page(`?error=${code}&status=completed`))).toEqual([]);
  await call(instance.url, 'DELETE', `/jobs/${third}`);
  expect(idsOf(await page(`?error=${code}`))).toEqual([first]);
  for (const worker of instance.workers) await instance.stopWorker(worker);
  await call(instance.url, 'POST', `/jobs/${first}/retry`);
  expect(idsOf(await page(`?error=${code}`))).toEqual([]);
  expect(await redis.keys(keys.errorIndex('*'))).toEqual([]);
});

it('jobs are found by all of the given pairs of metadata, until they are deleted', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const ask = async (metadata: Record<string, string>): Promise<string> =>
    (await enqueue(instance.url, { question: 'Which?', metadata })).id;
  const both = await ask({ customer: '4711', 'a b]=&': 'ü' });
  const one = await ask({ customer: '4711' });
  const inRequest = await enqueue(instance.url, {
    request: { input: 'Which?', metadata: { customer: '4711' } },
  });
  await ask({ customer: '4712' });
  expect(idsOf(await page('?metadata[customer]=4711'))).toEqual([inRequest.id, one, both]);
  const pair = `metadata%5B${encodeURIComponent('a b]=&')}%5D=%C3%BC`;
  expect(idsOf(await page(`?metadata[customer]=4711&${pair}`))).toEqual([both]);
  expect(idsOf(await page('?metadata[customer]=471'))).toEqual([]);
  expect(idsOf(await page('?metadata[customer]=4711&limit=1'))).toEqual([inRequest.id]);
  for (const id of [both, one]) {
    await call(instance.url, 'POST', `/jobs/${id}/cancel`);
    await call(instance.url, 'DELETE', `/jobs/${id}`);
  }
  expect(idsOf(await page('?metadata[customer]=4711'))).toEqual([inRequest.id]);
  expect(await redis.keys(keys.metadataIndex('*'))).toHaveLength(2);
});

it('jobs are found by the time of their creation, from `since` up to but not at `until`', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const jobs: JobView[] = [];
  for (let i = 0; i < 4; i += 1) {
    const job = await enqueue(instance.url, { question: `Number ${i}?` });
    // Each job has a millisecond of its own.
    await redis.zadd(keys.index('all'), 1_700_000_000_000 + i, job.id);
    await redis.hset(keys.job(job.id), 'timestamp', 1_700_000_000_000 + i);
    jobs.push(job);
  }
  const [a, b, c, d] = jobs.map(({ id }) => id);
  const time = (i: number): string => new Date(1_700_000_000_000 + i).toISOString();
  expect(idsOf(await page(`?since=${time(1)}`))).toEqual([d, c, b]);
  expect(idsOf(await page(`?until=${time(2)}`))).toEqual([b, a]);
  expect(idsOf(await page(`?since=${time(1)}&until=${time(3)}`))).toEqual([c, b]);
  const { jobs: newest, next_cursor: cursor } = await page(`?since=${time(1)}&until=${time(3)}&limit=1`);
  expect(newest.map(({ id }) => id)).toEqual([c]);
  expect(await page(`?since=${time(1)}&until=${time(3)}&cursor=${cursor}`)).toMatchObject({
    jobs: [{ id: b }],
    next_cursor: null,
  });
  const zoned = encodeURIComponent('2023-11-14T23:13:20.002+01:00');
  expect(idsOf(await page(`?since=${zoned}`))).toEqual([d, c]);
});

it('a search for text looks through whole questions, shows what it found, and says how far it came', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const padding = 'Padding. '.repeat(500);
  const long = await enqueue(instance.url, { question: `${padding}Why does Postgres ignore my\n  Index?` });
  const message = { role: 'user', content: [{ type: 'input_text', text: `${padding}Which INDEX?` }] };
  const messages = await enqueue(instance.url, {
    request: { input: [message, { role: 'assistant', content: 'Of what?' }] },
  });
  const short = await enqueue(instance.url, { question: 'The index?' });
  await enqueue(instance.url, { question: 'Another?', context: 'The index is elsewhere.' });
  const queue = new Queue(keys.queueName, { connection: redis, prefix: 'o3q' });
  // Other clients write JSON in other ways, and other names.
  const job = await queue.add('ask', { question: 'Größe' });
  await redis.hset(keys.job(job.id ?? ''), 'data', '{"question": "Gr\\u00f6\\u00dfe des index?"}');
  const broken = await queue.add('ask', { question: '?' });
  await redis.hset(keys.job(broken.id ?? ''), 'data', '{"question": "index');
  await queue.close();
  const found = await page('?q=index');
  expect(idsOf(found)).toEqual([`o3:${job.id}`, short.id, messages.id, long.id]);
  expect(found.searched).toEqual({
    jobs: 6,
    back_to: null,
    too_large: 0,
    excerpts: {
      [`o3:${job.id}`]: 'Größe des index?',
      [messages.id]: '…Padding. Padding. Padding. Which INDEX?',
      [long.id]: '…Padding. Why does Postgres ignore my Index?',
    },
  });
  expect(idsOf(await page('?q=ignore%20my%20index'))).toEqual([long.id]);
  expect(idsOf(await page('?q=gr%C3%B6%C3%9Fe'))).toEqual([`o3:${job.id}`]);
  expect(await page('')).not.toHaveProperty('searched');
});

it('a search looks through a megabyte at a time, and leaves out the rest of very large questions', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const large = 'x'.repeat(200 * 1024);
  const ids: string[] = [];
  for (let i = 0; i < 12; i += 1) {
    ids.unshift((await enqueue(instance.url, { question: `${large} needle ${i}` })).id);
  }
  const huge = await enqueue(instance.url, { question: `Begin. ${large.repeat(2)} needle` });
  const queue = new InstanceQueue({ redisUrl: server.url, ...instance.models });
  await queue.list();
  const query = { q: 'NEEDLE', limit: 100 };
  // A search that has no time ends after its first step.
  const first = await listJobs(redis, byModel(queue), query, 0);
  expect(first.searched).toMatchObject({ jobs: 7, too_large: 1 });
  const found: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const step = await listJobs(redis, byModel(queue), { ...query, cursor }, 0);
    found.push(...idsOf(step));
    cursor = step.next_cursor;
  }
  expect(found).toEqual(ids);
  expect(idsOf(await page('?q=begin'))).toEqual([huge.id]);
  await queue.close();
});

it('an action over all that match a text touches those whose match stands late in the question', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const late = await enqueue(instance.url, { question: `${'Padding. '.repeat(50)}Doomed?` });
  const other = await enqueue(instance.url, { question: 'Spared?' });
  const filter = { q: 'doomed' };
  const dry = await call(instance.url, 'POST', '/jobs/cancel', { body: { filter, dry_run: true } });
  expect(dry.body).toMatchObject({ matching: 1 });
  await call(instance.url, 'POST', '/jobs/cancel', { body: { filter } });
  await eventually(async () => expect(idsOf(await page('?status=cancelled'))).toEqual([late.id]));
  expect(idsOf(await page('?status=waiting'))).toEqual([other.id]);
});

it('a list by a part of an id ends at its time, and its cursor leads through all other ids', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const queue = new InstanceQueue({ redisUrl: server.url, ...instance.models });
  for (let bulk = 0; bulk < 5; bulk += 1) {
    await queue.enqueueBulk(Array.from({ length: 1000 }, () => ({ question: 'Common?', delay_ms: 60_000 })));
  }
  const { id } = await enqueue(instance.url, { question: 'Which?', delay_ms: 60_000 });
  const found: string[] = [];
  let pages = 0;
  for (let cursor: string | null | undefined; cursor !== null; pages += 1) {
    const query = { id: id.slice(-12), cursor };
    const step = await listJobs(redis, byModel(queue), query, 0);
    found.push(...idsOf(step));
    cursor = step.next_cursor;
  }
  expect([...new Set(found)]).toEqual([id]);
  expect(pages).toBeGreaterThan(1);
  await queue.close();
});

it('a tenant finds only its own jobs, whatever it filters by', async () => {
  instance = await startInstance({ redis: server, workers: 0, keys: KEYS });
  const ids: Record<string, string> = {};
  for (const tenant of ['alice', 'bob']) {
    const answer = await call(instance.url, 'POST', '/jobs', {
      body: { question: 'Mine?', metadata: { team: 'red' } },
      headers: { authorization: `Bearer ${tenant}-secret` },
    });
    ids[tenant] = (answer.body as JobView).id;
  }
  for (const query of [
    '',
    '?metadata[team]=red',
    '?q=mine',
    '?status=waiting',
    '?since=2020-01-01T00:00:00Z',
  ]) {
    expect(idsOf(await page(query, 'alice'))).toEqual([ids['alice']]);
    expect(idsOf(await page(query, 'admin'))).toEqual([ids['bob'], ids['alice']]);
  }
  expect(idsOf(await page('?tenant=bob&metadata[team]=red', 'admin'))).toEqual([ids['bob']]);
});

it.each([
  ['since=yesterday', 'since', /expected a time in ISO 8601/],
  ['until=1', 'until', /expected a time in ISO 8601/],
  [`metadata[a]=${'x'.repeat(513)}`, 'metadata.a', /512/],
  ['metadata[a]=1&metadata[a]=2', 'metadata.a', /string/],
  ['metadata=1', 'metadata', /expected only/],
])('GET /jobs?%.40s is refused', async (query, path, message) => {
  instance = await startInstance({ redis: server, workers: 0 });
  const answer = await call(instance.url, 'GET', `/jobs?${query}`);
  expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
  expect(JSON.stringify(answer.body)).toMatch(message);
  if (path !== 'metadata') expect(answer.body).toMatchObject({ flaws: [{ path }] });
});

it('a filter walks the smaller of its indexes, so that it costs no more beside many other jobs', async () => {
  instance = await startInstance({ redis: server, workers: 0 });
  const queue = new InstanceQueue({ redisUrl: server.url, ...instance.models });
  const rare = await enqueue(instance.url, { question: 'Rare?', metadata: { kind: 'rare' } });
  await queue.cancel(rare.id);
  const requests = Array.from({ length: 1000 }, () => ({ question: 'Common?' }));
  await queue.enqueueBulk(requests);
  const before = Number(/cmdstat_zscore:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
  expect(idsOf(await page('?status=cancelled&metadata[kind]=rare'))).toEqual([rare.id]);
  const after = Number(/cmdstat_zscore:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
  expect(after - before).toBeLessThan(100);
  await queue.close();
});
