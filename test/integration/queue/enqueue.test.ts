import { Redis } from 'ioredis';
import { defaultModels } from '../../../src/config/file.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
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

/**
 * The commands that clients send while `work` is done, in order; those inside of scripts are not among them.
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
      else seen.push(command.toUpperCase());
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

/** The next job is lost on its way to BullMQ, as when this process or Redis dies in between. */
function crashBeforeBullmq(): void {
  jest.spyOn(o3.bullmq, 'add').mockRejectedValueOnce(new Error('died'));
}

describe('what a job costs Redis when it is enqueued', () => {
  beforeEach(async () => {
    // Redis and BullMQ know their scripts from here on.
    await queue.enqueue(request, 'first');
    await queue.enqueue(request, 'first');
  });

  it('is three commands: enlist, BullMQ’s own, and the message to the dispatchers', async () => {
    expect(await commandsOf(() => queue.enqueue(request))).toEqual(['EVALSHA', 'EVALSHA', 'PUBLISH']);
  });

  it('is one more with a new idempotency key: the question whose call created the job', async () => {
    const commands = await commandsOf(() => queue.enqueue(request, 'new'));
    expect(commands.toSorted()).toEqual(['EVALSHA', 'EVALSHA', 'HGET', 'PUBLISH']);
  });

  it('is two for a repeat, which sends no job again: enlist, and the view', async () => {
    expect(await commandsOf(() => queue.enqueue(request, 'first'))).toEqual(['EVALSHA', 'EVALSHA']);
  });
});

describe('a crash between the entries and the job', () => {
  it('leaves a key free: the repeat counts as the first call, and there is one job with one entry', async () => {
    crashBeforeBullmq();
    await expect(queue.enqueue(request, 'key')).rejects.toThrow('died');
    const [id] = await entries();
    expect((await queue.list()).jobs).toEqual([]);
    expect(await queue.enqueue(request, 'key')).toMatchObject({ isNew: true, job: { id } });
    expect(await queue.enqueue(request, 'key')).toMatchObject({ isNew: false, job: { id } });
    expect(await entries()).toEqual([id]);
    expect((await queue.list()).jobs).toMatchObject([{ id, status: 'waiting', position: 1 }]);
  });

  it('leaves the key free for another request too', async () => {
    crashBeforeBullmq();
    await expect(queue.enqueue(request, 'key')).rejects.toThrow('died');
    const other = parseJobRequest({ question: 'Something else?' });
    expect(await queue.enqueue(other, 'key')).toMatchObject({ isNew: true });
    await expect(queue.enqueue(request, 'key')).rejects.toMatchObject({ code: 'idempotency_key_reused' });
  });

  it('leaves no job without an entry, and no list shows the entry', async () => {
    crashBeforeBullmq();
    await expect(queue.enqueue(request)).rejects.toThrow('died');
    expect(await entries()).toHaveLength(1);
    expect((await queue.list()).jobs).toEqual([]);
    expect((await o3.fairQueue.next(10)).jobs).toEqual([]);
  });
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
