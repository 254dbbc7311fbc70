import { Redis } from 'ioredis';
import { defaultModels } from '../../../src/config/file.ts';
import { type BulkRequest, parseJobRequest } from '../../../src/job/request.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

/**
 * Our script writes what BullMQ writes when it adds a delayed job. These tests compare the two, so that a
 * BullMQ with another layout fails here.
 */

let server: TestRedis;
let redis: Redis;
let queue: InstanceQueue;
let o3: ModelQueue;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
  queue = new InstanceQueue({ redisUrl: server.url, ...defaultModels(), webhooksOut: true });
  const found = queue.queues.find(({ model }) => model === 'o3');
  if (found === undefined) throw new Error('expected the model o3');
  o3 = found;
  await o3.bullmq.waitUntilReady();
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
});

/** Everything of BullMQ's queue that an added job changes. */
interface Layout {
  hashes: Record<string, Record<string, unknown>>;
  delayed: string[];
  events: string[][];
  counter: string | null;
  meta: Record<string, string>;
  /** All keys of BullMQ's queue. */
  keys: string[];
}

async function layoutOf(ids: readonly string[]): Promise<Layout> {
  const { keys } = o3;
  const hashes = await Promise.all(
    ids.map(async (id) => {
      const { opts = '', ...fields } = await redis.hgetall(keys.job(id));
      return [id, { ...fields, opts: JSON.parse(opts) as unknown }] as const;
    }),
  );
  return {
    hashes: Object.fromEntries(hashes),
    delayed: await redis.zrange(keys.queue('delayed'), '0', '-1', 'WITHSCORES'),
    events: (await redis.xrange(keys.queue('events'), '-', '+')).map(([, fields]) => fields),
    counter: await redis.get(keys.queue('id')),
    meta: await redis.hgetall(keys.queue('meta')),
    keys: (await redis.keys(`o3q:${keys.queueName}:*`)).toSorted(),
  };
}

async function clear(): Promise<void> {
  const meta = await redis.hgetall(o3.keys.queue('meta'));
  await redis.flushall();
  await redis.hset(o3.keys.queue('meta'), meta);
}

const REQUESTS: Record<string, readonly [tenant: string, ...requests: BulkRequest[]]> = {
  'a plain job': ['', { question: 'Why “?” / <b>\\n</b> ü 😀' }],
  'a job of a tenant with all options': [
    'alice',
    {
      ...{ question: 'Why?', priority: 3, max_attempts: 7, timeout_ms: 1000, metadata: { a: 'b' } },
      ...{ webhook_url: 'https://example.com/done', deadline: '2099-01-01T00:00:00Z' },
      ...{ needed_by: '2098-01-01T00:00:00Z', on_late: 'wait' },
      idempotency_key: 'key',
    },
  ],
  'a delayed job': ['', { question: 'Later?', delay_ms: 60_000 }],
  'several jobs': [
    'alice',
    { question: 'One?' },
    { question: 'Two?', delay_ms: 5000 },
    { request: { input: [{ role: 'user', content: 'Three?' }], temperature: 0.5 } },
    { question: 'Four?' },
  ],
};

describe.each(Object.entries(REQUESTS))('%s', (_what, [tenant, ...requests]) => {
  it('is stored as BullMQ stores it, but for the marker, which would wake a worker', async () => {
    await clear();
    const caller = tenant === '' ? queue : queue.as({ tenant, admin: false });
    const outcomes = await caller.enqueueBulk(requests);
    const ids = outcomes.map((outcome) => (outcome.ok ? outcome.job.id : ''));
    const ours = await layoutOf(ids);

    await clear();
    for (const id of ids) {
      const { name, data, opts } = ours.hashes[id] as { name: string; data: string; opts: object };
      await o3.bullmq.add(name, JSON.parse(data), opts);
    }
    const theirs = await layoutOf(ids);

    const marker = o3.keys.queue('marker');
    expect(theirs.keys).toContain(marker);
    expect({ ...ours, keys: [...ours.keys, marker].toSorted() }).toEqual(theirs);
  });
});

it('five thousand jobs have the scores that BullMQ gives them, in their order up to 4,096', async () => {
  await clear();
  for (let page = 0; page < 5; page += 1) {
    await queue.enqueueBulk(Array.from({ length: 1000 }, (_, i) => ({ question: `${page}: ${i}?` })));
  }
  const scores = (await redis.zrange(o3.keys.queue('delayed'), '0', '-1', 'WITHSCORES')).filter(
    (_, i) => i % 2 === 1,
  );
  const [first = ''] = scores;
  expect(scores.map((score) => Number(score) - Number(first))).toEqual(
    Array.from({ length: 5000 }, (_, i) => Math.min(i, 4095)),
  );
});

it('Bull Board and other BullMQ clients can read, promote and remove such a job', async () => {
  await clear();
  const { job } = await queue.enqueue(parseJobRequest({ question: 'Why?' }));
  expect(await o3.bullmq.getJobState(job.id)).toBe('delayed');
  const read = await o3.bullmq.getJob(job.id);
  expect(read).toMatchObject({ name: 'Why?', data: { question: 'Why?' }, attemptsMade: 0, priority: 0 });
  await read?.promote();
  expect(await o3.bullmq.getJobState(job.id)).toBe('waiting');
  expect(await o3.bullmq.remove(job.id)).toBe(1);
  expect(await redis.exists(o3.keys.job(job.id))).toBe(0);
});
