import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { listJobs } from '../../../src/job-store/list.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { call, enqueue, reached } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const keys = keysOf('o3q', 'o3');

let server: TestRedis;
let redis: Redis;
let instance: Instance;
let queue: InstanceQueue;

const o3 = quickModels().models['o3'];
if (o3 === undefined) throw new Error('expected a model o3');
const models = { o3, mini: { ...o3, upstream: 'o3' }, pro: { ...o3, upstream: 'o3' } };

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});

beforeEach(async () => {
  await redis.flushall();
  instance = await startInstance({ redis: server, workers: 0, models: { models } });
  queue = new InstanceQueue({ redisUrl: server.url, ...instance.models });
});

afterEach(async () => {
  await queue.close();
  await instance.stop();
});

afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function page(query: string): Promise<JobPage> {
  const answer = await call(instance.url, 'GET', `/jobs${query}`);
  expect(answer).toMatchObject({ status: 200 });
  return answer.body as JobPage;
}

/** Every page of a list, to its end. */
async function pages(query: string): Promise<JobView[][]> {
  const found: JobView[][] = [];
  let cursor: string | null = null;
  do {
    const { jobs, next_cursor }: JobPage = await page(
      `${query}${cursor === null ? '' : `&cursor=${cursor}`}`,
    );
    found.push(jobs);
    cursor = next_cursor;
  } while (cursor !== null);
  return found;
}

const idsOf = (jobs: readonly JobView[]): string[] => jobs.map(({ id }) => id);

async function enqueueMany(count: number, request: (i: number) => object = () => ({})): Promise<string[]> {
  const outcomes = await queue.enqueueBulk(
    Array.from({ length: count }, (_, i) => ({ question: `Question ${i}?`, ...request(i) })),
  );
  return outcomes.map((outcome) => {
    if (!outcome.ok) throw outcome.error;
    return outcome.job.id;
  });
}

it('an empty list has no cursor', async () => {
  expect(await page('')).toEqual({ jobs: [], next_cursor: null });
  expect(await page('?status=failed&model=mini&limit=1')).toEqual({ jobs: [], next_cursor: null });
});

it('the list shows the newest jobs first, over all models', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 9; i += 1) {
    const model = Object.keys(models)[i % 3];
    ids.unshift((await enqueue(instance.url, { question: `Question ${i}?`, model })).id);
  }
  const { jobs, next_cursor } = await page('');
  expect(idsOf(jobs)).toEqual(ids);
  expect(jobs.map(({ model }) => model)).toEqual([
    'pro',
    'mini',
    'o3',
    'pro',
    'mini',
    'o3',
    'pro',
    'mini',
    'o3',
  ]);
  expect(next_cursor).toBeNull();
  expect((await pages('?limit=2')).map(idsOf)).toEqual([0, 2, 4, 6, 8].map((i) => ids.slice(i, i + 2)));
  expect(idsOf((await page('?model=mini')).jobs)).toEqual(ids.filter((_, i) => i % 3 === 1));
});

it('the list shows 20 jobs without a limit, and says whether there are more', async () => {
  const ids = await enqueueMany(20);
  expect(await page('')).toMatchObject({ jobs: { length: 20 }, next_cursor: null });
  const last = await enqueue(instance.url, { question: 'One more?' });
  const { jobs, next_cursor } = await page('');
  expect(jobs).toHaveLength(20);
  expect(jobs[0]?.id).toBe(last.id);
  expect(await page(`?cursor=${next_cursor}`)).toMatchObject({
    jobs: [{ id: ids.sort()[0] }],
    next_cursor: null,
  });
});

it.each([1, 7, 50, 100])(
  '250 jobs of one millisecond are listed without a gap or a duplicate, %i at a time',
  async (limit) => {
    const ids = await enqueueMany(250, (i) => ({ model: i % 5 === 0 ? 'mini' : 'o3' }));
    // A bulk takes several milliseconds to make; nothing in the list may depend on that.
    await redis.zadd(keys.index('all'), ...ids.filter((_, i) => i % 5 !== 0).flatMap((id) => [1000, id]));
    await redis.zadd(
      keysOf('o3q', 'mini').index('all'),
      ...ids.filter((_, i) => i % 5 === 0).flatMap((id) => [1000, id]),
    );
    const found = await pages(`?limit=${limit}`);
    expect(found.flatMap(idsOf)).toEqual(ids.toSorted().reverse());
    expect(found.slice(0, -1).every((jobs) => jobs.length === limit)).toBe(true);
  },
);

it('jobs that are created or deleted between two pages neither hide nor duplicate others', async () => {
  const ids = (await enqueueMany(120)).toSorted().reverse();
  const first = await page('?limit=50');
  await enqueueMany(30);
  for (const id of ids.slice(20, 60)) {
    await queue.cancel(id);
    await queue.delete(id);
  }
  const rest = await page(`?limit=100&cursor=${first.next_cursor}`);
  expect(idsOf(first.jobs)).toEqual(ids.slice(0, 50));
  expect(idsOf(rest.jobs)).toEqual(ids.slice(60));
  expect(rest.next_cursor).toBeNull();
});

it('jobs that finish while a list is read neither hide nor duplicate others', async () => {
  const ids = (await enqueueMany(400, (i) => ({ question: i % 4 === 0 ? 'Rare?' : 'Common?' })))
    .toSorted()
    .reverse();
  const rare = new Set((await pages('?q=rare&limit=100')).flatMap(idsOf));
  expect(rare.size).toBe(100);
  const [list] = await Promise.all([
    pages('?status=waiting&q=rare&limit=40'),
    ...ids.filter((id) => !rare.has(id)).map((id) => queue.cancel(id)),
    enqueueMany(100, () => ({ question: 'Common?' })),
  ]);
  expect(list.flatMap(idsOf)).toEqual(ids.filter((id) => rare.has(id)));
});

it('a rare match among thousands of jobs is found page by page', async () => {
  const rare = await enqueue(instance.url, { question: 'Where is the NEEDLE?' });
  for (let i = 0; i < 3; i += 1) await enqueueMany(1000);
  expect((await pages('?q=needle')).flat()).toMatchObject([
    { id: rare.id, question: 'Where is the NEEDLE?' },
  ]);
  // A call whose time is over still looks at one part of the jobs, so that a reader always gets further.
  const byModel = new Map(queue.queues.map((each) => [each.model, each]));
  const found: JobPage[] = [];
  do {
    const cursor = found.at(-1)?.next_cursor ?? undefined;
    found.push(await listJobs(redis, byModel, { q: 'needle', cursor }, 0));
  } while (found.at(-1)?.next_cursor !== null);
  expect(found.length).toBeGreaterThan(3);
  expect(found.flatMap(({ jobs }) => jobs)).toMatchObject([{ id: rare.id }]);
  expect(found.reduce((sum, { searched }) => sum + (searched?.jobs ?? 0), 0)).toBe(3001);
});

it('q searches for text, not for a pattern, in upper and lower case', async () => {
  await enqueueMany(3);
  const { id } = await enqueue(instance.url, { question: 'Is 100% [a-z]* of ÉTÉ 🦄 warm?' });
  for (const q of ['100%', '[A-Z]*', 'été', '🦄 w']) {
    expect(idsOf((await page(`?q=${encodeURIComponent(q)}`)).jobs)).toEqual([id]);
  }
  expect((await page('?q=.*')).jobs).toEqual([]);
});

it('each status has its list, and a job is only in the list of its status', async () => {
  const { id: waiting } = await enqueue(instance.url, { question: 'Wait?', model: 'mini' });
  const { id: prioritized } = await enqueue(instance.url, {
    question: 'Wait longer?',
    priority: 9,
    model: 'mini',
  });
  const { id: delayed } = await enqueue(instance.url, { question: 'Later?', delay_ms: 3_600_000 });
  const { id: cancelled } = await enqueue(instance.url, { question: 'Never?' });
  await call(instance.url, 'POST', `/jobs/${cancelled}/cancel`);
  await queue.queues.find(({ model }) => model === 'mini')?.bullmq.pause();
  instance.addWorker();
  const { id: active } = await enqueue(instance.url, {
    question: 'For ever?',
    metadata: { sim: 'stall', sim_events: '3' },
  });
  const { id: failed } = await enqueue(instance.url, { question: 'Bad?', metadata: { sim: '400' } });
  const { id: completed } = await enqueue(instance.url, { question: 'Good?' });
  await reached(instance.url, active, 'active');
  await reached(instance.url, failed, 'failed');
  await reached(instance.url, completed, 'completed');
  const expected = {
    waiting: [prioritized, waiting],
    delayed: [delayed],
    active: [active],
    completed: [completed],
    failed: [failed],
    cancelled: [cancelled],
  };
  for (const [status, ids] of Object.entries(expected)) {
    const { jobs } = await page(`?status=${status}`);
    expect({ status, ids: idsOf(jobs) }).toEqual({ status, ids });
    expect(jobs.every((job) => job.status === status)).toBe(true);
  }
  expect((await page('')).jobs).toHaveLength(7);
  await call(instance.url, 'POST', `/jobs/${active}/cancel`);
  await reached(instance.url, active, 'cancelled');
  expect(idsOf((await page('?status=cancelled')).jobs)).toEqual([active, cancelled]);
  expect((await page('?status=active')).jobs).toEqual([]);
});

it('a list that is read while jobs are stored loses none of them', async () => {
  // The index is written first. What a reader finds there without its job is on its way.
  await redis.zadd(keys.index('all'), Date.now(), 'job_on_its_way');
  await redis.zadd(keys.index('live'), Date.now(), 'job_on_its_way');
  expect((await page('')).jobs).toEqual([]);
  expect((await page('?status=waiting')).jobs).toEqual([]);
  const bare = new Queue('{o3}', { prefix: 'o3q', connection: redis });
  await bare.add('At last', { question: 'At last?' }, { jobId: 'job_on_its_way' });
  expect(idsOf((await page('')).jobs)).toEqual(['job_on_its_way']);
  await bare.close();
});

it('index entries without a job are skipped, and removed later', async () => {
  const hourAgo = Date.now() - 3_700_000;
  await redis.zadd(keys.index('all'), hourAgo, 'job_lost');
  await redis.zadd(keys.index('live'), hourAgo, 'job_lost');
  const { id } = await enqueue(instance.url, { question: 'Here?' });
  expect(idsOf((await page('')).jobs)).toEqual([id]);
  expect(await redis.zrange(keys.index('all'), '0', '-1')).toEqual([id]);
  expect(await redis.zrange(keys.index('live'), '0', '-1')).toEqual([id]);
});

it('active jobs are found at once beside thousands that wait, page by page and by every other filter', async () => {
  const ids: string[] = [];
  const worker = instance.addWorker();
  await worker.alive;
  for (let n = 0; n < 5; n += 1) {
    const model = n % 2 === 0 ? 'o3' : 'mini';
    const metadata = { sim: 'stuck_queued', odd: String(n % 2) };
    ids.unshift((await enqueue(instance.url, { question: `Number ${n}?`, model, metadata })).id);
  }
  for (const id of ids) await reached(instance.url, id, 'active');
  for (let i = 0; i < 2; i += 1) {
    await enqueueMany(1000, () => ({ question: 'Later?', delay_ms: 3_600_000 }));
  }
  const reads = async () =>
    Number(/cmdstat_hgetall:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
  const before = await reads();
  expect((await pages('?status=active')).flatMap(idsOf)).toEqual(ids);
  expect((await reads()) - before).toBeLessThan(100);
  expect((await pages('?status=active&metadata[odd]=1')).flatMap(idsOf)).toEqual([ids[1], ids[3]]);
  expect((await pages('?status=active&model=mini')).flatMap(idsOf)).toEqual([ids[1], ids[3]]);
  expect((await pages('?status=active&q=number%204')).flatMap(idsOf)).toEqual([ids[0]]);
  expect((await pages('?status=active&until=2020-01-01T00:00:00Z')).flatMap(idsOf)).toEqual([]);
});
