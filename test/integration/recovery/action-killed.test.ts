import { Redis } from 'ioredis';
import { O3Client } from '../../../src/client/o3-client.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { keysOf } from '../../../src/redis/keys.ts';
import { eventually } from '../../support/eventually.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { quickModels } from '../../support/worlds/instance.ts';

/** Real processes: a producer is killed while it drives an action, and another one goes on. */

const JOBS = 800;
const LIMIT_MS = 60_000;

const cli = createCliProcesses();
let server: TestRedis;
let redis: Redis;
let queue: InstanceQueue;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
  queue = new InstanceQueue({ redisUrl: server.url, ...quickModels() });
});

afterAll(async () => {
  await cli.end();
  await queue.close();
  redis.disconnect();
  await server.stop();
});

async function startProducer() {
  const process = await cli.start(['producer'], { REDIS_URL: server.url, PORT: '0' });
  const url = await process.says(/^o3-queue producer ready on (http:\S+)$/m);
  return { process, client: new O3Client({ url }) };
}

/** Returns how often each job went from failed back to waiting, as BullMQ's events tell. */
async function retriesByJob(): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const [, fields] of await redis.xrange(keysOf('o3q', 'o3').queue('events'), '-', '+')) {
    const event = Object.fromEntries(
      Array.from({ length: fields.length / 2 }, (_, i) => [fields[2 * i], fields[2 * i + 1]]),
    );
    if (event['event'] !== 'waiting' || event['prev'] !== 'failed') continue;
    const id = event['jobId'] ?? '';
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

it(
  'an action whose producer is killed in the middle is finished by another, and retries each job once',
  async () => {
    const first = await startProducer();
    await queue.enqueueBulk(Array.from({ length: JOBS }, (_, i) => ({ question: `Number ${i}?` })));
    const { jobs } = await queue.list({ limit: 100 });
    await Promise.all(jobs.map(({ id }) => queue.cancel(id)));
    const cancel = await first.client.actions.start('cancel', {});
    await eventually(
      async () =>
        expect(await first.client.actions.get(cancel.id)).toMatchObject({ status: 'done', done: JOBS - 100 }),
      LIMIT_MS,
    );
    const retry = await first.client.actions.start('retry', { status: 'cancelled' });
    await eventually(
      async () => expect((await queue.actions.get(retry.id)).done).toBeGreaterThan(20),
      LIMIT_MS,
    );
    first.process.kill('SIGKILL');
    await first.process.exited;
    const atKill = await queue.actions.get(retry.id);
    expect(atKill).toMatchObject({ status: 'running', finished_at: null });
    expect(atKill.done).toBeLessThan(JOBS);

    const second = await startProducer();
    await eventually(
      async () =>
        expect(await second.client.actions.get(retry.id)).toMatchObject({
          status: 'done',
          done: JOBS,
          skipped: {},
          failed: {},
        }),
      LIMIT_MS,
    );
    const retries = await retriesByJob();
    expect(retries.size).toBe(JOBS);
    expect(new Set(retries.values())).toEqual(new Set([1]));
    expect((await queue.list({ status: 'cancelled' })).jobs).toEqual([]);
  },
  LIMIT_MS * 3,
);
