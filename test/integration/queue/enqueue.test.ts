import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { defaultModels } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import type { JobView } from '../../../src/job/view.ts';
import type { ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let server: TestRedis;
let redis: Redis;
let queue: InstanceQueue;
let o3: ModelQueue;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
  const { models, ...others } = defaultModels();
  const { o3: config } = models;
  if (config === undefined) throw new Error('expected the model o3');
  queue = new InstanceQueue({ redisUrl: server.url, ...others, models: { o3: config } });
  const [only] = queue.queues;
  if (only === undefined) throw new Error('expected a queue');
  o3 = only;
});
beforeEach(async () => {
  await redis.flushall();
});
afterEach(() => jest.restoreAllMocks());
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  await server.stop();
});

const request = parseJobRequest({ question: 'Why?' });

/** Runs `work` with a queue of o3 and one further model. */
async function withTwoModels(work: (queue: InstanceQueue) => Promise<void>): Promise<void> {
  const { config } = o3;
  const two = new InstanceQueue({ redisUrl: server.url, models: { o3: config, sol: config } });
  try {
    // Redis and BullMQ know both queues from here on.
    await two.ping();
    await Promise.all(two.queues.map(({ bullmq }) => bullmq.waitUntilReady()));
    await work(two);
  } finally {
    await two.close();
  }
}

/**
 * The commands that clients send while `work` is done, in order. Those inside of scripts are not among them,
 * nor is INFO, by which the process learns at most twice a second how full Redis is.
 */
async function commandsOf(work: () => Promise<unknown>): Promise<string[]> {
  const watcher = new Redis(server.url);
  const monitor = await watcher.monitor();
  const seen: string[] = [];
  const ended = new Promise<void>((resolve) => {
    monitor.on('monitor', (_time, [command = '', text], source) => {
      // TIME is the heartbeat of a connection.
      if (source === 'lua' || command.toUpperCase() === 'TIME') return;
      if (command.toUpperCase() === 'ECHO' && text === 'the end') resolve();
      else if (command.toUpperCase() !== 'INFO') seen.push(command.toUpperCase());
    });
  });
  await work();
  await redis.echo('the end');
  await ended;
  monitor.disconnect();
  watcher.disconnect();
  return seen;
}

/** Jobs that have an entry in the fair queue. */
const entries = (): Promise<string[]> => redis.zrange(`${o3.keys.fairQueue('tenant')}:`, '0', '-1');

describe('what a job costs Redis when it is enqueued', () => {
  beforeEach(async () => {
    // Redis knows the scripts from here on.
    await queue.enqueue(request, 'first');
    await queue.enqueue(request, 'first');
  });

  it('is one script, which also tells the dispatchers', async () => {
    const wake = new Redis(server.url);
    await wake.subscribe(o3.keys.fairQueue('wake'));
    const told = new Promise((resolve) => wake.once('message', resolve));
    expect(await commandsOf(() => queue.enqueue(request))).toEqual(['EVALSHA']);
    expect(await told).toBe(o3.keys.fairQueue('wake'));
    wake.disconnect();
  });

  it('is one script with a new idempotency key too, also when there are several models', async () => {
    expect(await commandsOf(() => queue.enqueue(request, 'new'))).toEqual(['EVALSHA']);
    await withTwoModels(async (two) => {
      expect(await commandsOf(() => two.enqueue(request, 'newer'))).toEqual(['EVALSHA']);
    });
  });

  it('is two for a repeat: the script that finds the job, and the view', async () => {
    expect(await commandsOf(() => queue.enqueue(request, 'first'))).toEqual(['EVALSHA', 'EVALSHA']);
  });

  it('is one script for each hundred jobs of a bulk', async () => {
    const jobs = Array.from({ length: 201 }, (_, i) => ({ question: `Why ${i}?` }));
    expect(await commandsOf(() => queue.enqueueBulk(jobs))).toEqual(['EVALSHA', 'EVALSHA', 'EVALSHA']);
    expect(await entries()).toHaveLength(202);
  });

  it('is one script for all calls of one moment, and each gets its own outcome', async () => {
    const calls = () => [
      queue.enqueue(request, 'first'),
      queue.enqueue(request),
      queue.enqueue(parseJobRequest({ question: 'Another?' }), 'first'),
      queue.enqueue(parseJobRequest({ question: 'Late?', deadline: '2020-01-01T00:00:00Z' })),
      queue.enqueue(request),
    ];
    let outcomes: PromiseSettledResult<{ isNew: boolean; job: JobView }>[] = [];
    const commands = await commandsOf(async () => {
      outcomes = await Promise.allSettled(calls());
    });
    // The second script reads the job that the first call has found.
    expect(commands).toEqual(['EVALSHA', 'EVALSHA']);
    expect(outcomes).toMatchObject([
      { value: { isNew: false } },
      { value: { isNew: true } },
      { reason: { code: 'idempotency_key_reused' } },
      { reason: { code: 'invalid_request' } },
      { value: { isNew: true } },
    ]);
    expect(await entries()).toHaveLength(3);
  });

  it('is one script for each megabyte of the requests of a bulk', async () => {
    // Random digits are stored as 350 KB each, so three of them do not fit into one script.
    const jobs = Array.from({ length: 3 }, () => ({ question: randomBytes(300_000).toString('hex') }));
    expect(await commandsOf(() => queue.enqueueBulk([...jobs, request]))).toEqual(['EVALSHA', 'EVALSHA']);
    expect(await entries()).toHaveLength(5);
  });
});

it('of calls of one moment, those with a job that cannot be read fail alone', async () => {
  const { job } = await queue.enqueue(request, 'broken');
  await redis.set(o3.keys.run(job.id), 'no hash');
  const outcomes = await Promise.allSettled([
    queue.enqueue(request),
    queue.enqueue(request, 'broken'),
    queue.enqueue(request),
  ]);
  expect(outcomes).toMatchObject([
    { status: 'fulfilled', value: { isNew: true } },
    { status: 'rejected' },
    { status: 'fulfilled', value: { isNew: true } },
  ]);
});

it('a key belongs to one job of all models, also when twenty calls for two models come at once', async () => {
  await withTwoModels(async (two) => {
    const asks = Array.from({ length: 20 }, (_, i) =>
      two.enqueue(parseJobRequest({ question: 'Once?', model: i % 2 === 0 ? 'o3' : 'sol' }), 'once'),
    );
    const answers = await Promise.allSettled(asks);
    const jobs = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
    expect(jobs.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(jobs.map(({ job }) => job.id)).size).toBe(1);
    expect(jobs).toHaveLength(10);
    expect((await two.list()).jobs).toHaveLength(1);
  });
});

it('a Redis that is full stores nothing of a job, and the key stays free', async () => {
  await redis.set('ballast', 'x'.repeat(1_000_000));
  const before = (await redis.keys('*')).toSorted();
  await redis.config('SET', 'maxmemory', '1');
  try {
    await expect(queue.enqueue(request)).rejects.toMatchObject({ code: 'redis_unavailable' });
    await expect(queue.enqueue(request, 'key')).rejects.toMatchObject({ code: 'redis_unavailable' });
    expect((await redis.keys('*')).toSorted()).toEqual(before);
  } finally {
    await redis.config('SET', 'maxmemory', '0');
  }
  expect(await queue.enqueue(request, 'key')).toMatchObject({ isNew: true });
});

it('a key whose job a BullMQ client has removed is free, and nothing of the old job is left', async () => {
  const { job } = await queue.enqueue(request, 'key');
  await queue.cancel(job.id);
  await o3.bullmq.remove(job.id);
  const other = parseJobRequest({ question: 'Something else?' });
  expect(await queue.enqueue(other, 'key')).toMatchObject({ isNew: true, job: { id: job.id } });
  expect(await queue.get(job.id)).toMatchObject({ status: 'waiting', question: 'Something else?' });
  expect((await queue.list({ status: 'cancelled' })).jobs).toEqual([]);
});

it('a delayed job is in the indexes and not in the fair queue', async () => {
  const { job } = await queue.enqueue(parseJobRequest({ question: 'Later?', delay_ms: 60_000 }), 'later');
  expect(await entries()).toEqual([]);
  expect((await queue.list({ status: 'delayed' })).jobs).toMatchObject([{ id: job.id }]);
});

it('a repeat does not list a job that has ended as unfinished again', async () => {
  const { job } = await queue.enqueue(request, 'key');
  await queue.cancel(job.id);
  expect(await queue.enqueue(request, 'key')).toMatchObject({ isNew: false, job: { status: 'cancelled' } });
  expect(await entries()).toEqual([]);
  expect(await redis.zcard(o3.keys.index('live'))).toBe(0);
});

it('of two requests of one bulk under one key, one is new and both have its job', async () => {
  const [first, second] = await queue.enqueueBulk([
    { question: 'Twice?', idempotency_key: 'twice' },
    { question: 'Twice?', idempotency_key: 'twice' },
  ]);
  expect(first).toMatchObject({ ok: true, isNew: true });
  expect(second).toMatchObject({ ok: true, isNew: false, job: first?.ok ? { id: first.job.id } : {} });
  expect(await entries()).toHaveLength(1);
});
