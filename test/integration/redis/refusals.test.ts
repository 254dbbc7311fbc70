import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { ModelConfig, Models } from '../../../src/config/file.ts';
import { startWorkerHealth } from '../../../worker/health.ts';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, expectProblem, reached } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { quickModels, startInstance } from '../../support/worlds/instance.ts';
import { QUICK_RECOVERY, startWorkerWorld } from '../../support/worlds/worker-world.ts';

/** A Redis that answers and takes no writes: how it comes to that, and how that ends. */
interface Refusal {
  code: string;
  begin(admin: Redis): Promise<unknown>;
  end(admin: Redis): Promise<unknown>;
}

const REFUSALS: [what: string, refusal: Refusal][] = [
  [
    'is full',
    {
      code: 'OOM',
      begin: (admin) => admin.config('SET', 'maxmemory', '1'),
      end: (admin) => admin.config('SET', 'maxmemory', '0'),
    },
  ],
  [
    'is a replica',
    {
      code: 'READONLY',
      begin: (admin) => admin.call('REPLICAOF', '127.0.0.1', '1'),
      end: (admin) => admin.call('REPLICAOF', 'NO', 'ONE'),
    },
  ],
  [
    'misses replicas',
    {
      code: 'NOREPLICAS',
      begin: (admin) => admin.config('SET', 'min-replicas-to-write', '1'),
      end: (admin) => admin.config('SET', 'min-replicas-to-write', '0'),
    },
  ],
  [
    'cannot save',
    {
      code: 'MISCONF',
      async begin(admin) {
        // A folder of the file's name keeps the file from being written.
        await mkdir(await rdbFile(admin));
        await admin.config('SET', 'save', '3600 1000000');
        await admin.bgsave();
        await eventually(async () => expect(await admin.info()).toContain('rdb_last_bgsave_status:err'));
      },
      async end(admin) {
        await rmdir(await rdbFile(admin));
        await admin.bgsave();
      },
    },
  ],
  [
    'takes the right to write away',
    {
      code: 'NOPERM',
      begin: (admin) => admin.call('ACL', 'SETUSER', 'default', '-@write'),
      end: (admin) => admin.call('ACL', 'SETUSER', 'default', '+@all'),
    },
  ],
];

async function rdbFile(admin: Redis): Promise<string> {
  const [, folder = ''] = (await admin.config('GET', 'dir')) as string[];
  return join(folder, 'dump.rdb');
}

/** Runs a test with a Redis of its own. */
async function withRedis(
  { begin, end }: Refusal,
  test: (redis: TestRedis, refusal: { begin(): Promise<void>; end(): Promise<void> }) => Promise<void>,
): Promise<void> {
  const redis = await startTestRedis();
  const admin = new Redis(redis.url);
  try {
    await admin.call('ACL', 'SETUSER', 'admin', 'on', '>admin', '~*', '&*', '+@all');
    await admin.call('AUTH', 'admin', 'admin');
    await test(redis, {
      begin: async () => void (await begin(admin)),
      end: async () => void (await end(admin)),
    });
  } finally {
    admin.disconnect();
    await redis.stop();
  }
}

/** Most of the time of these tests is waiting, so that they run side by side. */
describe.each(REFUSALS)('a Redis that %s', (_what, refusal) => {
  const { code } = refusal;

  it.concurrent('costs running jobs, in the background and in the foreground, nothing: their answers are written when it takes writes again', () =>
    withRedis(refusal, async (redis, { begin, end }) => {
      const { models, ...rest } = quickModels();
      const o3 = modelOf(models);
      const both = { o3, foreground: { ...o3, upstream: 'o3', background: 'never' as const } };
      const world = await startWorkerWorld({
        ...{ redis, workers: 2, models: { ...rest, models: both }, recovery: QUICK_RECOVERY },
      });
      try {
        const jobs = await Promise.all(
          Array.from({ length: 8 }, (_, i) =>
            world.ask(
              `Held ${i}?`,
              // Half of them end while it refuses; the others do so on a busy machine only.
              { sim_think_ms: i % 2 === 0 ? '2500' : '5500' },
              { model: i < 4 ? 'o3' : 'foreground' },
            ),
          ),
        );
        await Promise.all(jobs.map(({ id }) => world.purchased(id)));
        await world.client.set('life of a lock', '', 'PX', QUICK_RECOVERY.lockMs);
        await begin();
        await eventually(() => expect(world.simulator.ledger.totals().completed).toBeGreaterThanOrEqual(4));
        const worker = world.workers[0];
        // On a replica the worker connects again and again; it has no refusal in between.
        await eventually(async () => expect(await worker?.redisTrouble()).toContain(code));
        await eventually(async () => expect(await world.client.exists('life of a lock')).toBe(0));
        await end();
        for (const [i, { id }] of jobs.entries()) {
          expect(await world.finished(id)).toMatchObject({
            ...{ status: 'completed', attempt: 1, purchases: 1, uncertain_purchases: 0 },
          });
          expect(await world.answer(id)).toContain(`Held ${i}?`);
        }
        expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 8, completed: 8, cancels: 0 });
        expect(world.logLines.join()).toContain(
          `Redis refuses commands, which wait until it takes them: ${code}`,
        );
        expect(await worker?.redisTrouble()).toBeUndefined();
      } finally {
        await world.stop();
      }
    }));

  it.concurrent('is answered with 503 and Retry-After by the producer, which takes jobs again when it takes writes', () =>
    withRedis(refusal, async (redis, { begin, end }) => {
      const instance = await startInstance({ redis });
      try {
        const { url } = instance;
        const before = await enqueue(url, { question: 'Before?' });
        await reached(url, before.id, 'completed');
        await begin();
        for (const path of ['/jobs', '/jobs?wait=5']) {
          const answer = await call(url, 'POST', path, { body: { question: 'Now?' } });
          expectProblem(answer, 503, 'redis_unavailable');
          expect(answer.headers).toMatchObject({ 'retry-after': '1', 'retry-after-ms': '1000' });
        }
        const { body } = await call(url, 'POST', '/v1/responses', {
          body: { model: 'o3', input: 'Now?', background: true },
        });
        expect(body).toMatchObject({
          error: { type: 'service_unavailable_error', code: 'redis_unavailable' },
        });
        expectProblem(await call(url, 'GET', '/readyz'), 503, 'redis_unavailable');
        await end();
        await eventually(async () =>
          expect(await call(url, 'GET', '/readyz')).toMatchObject({ status: 200 }),
        );
        const after = await enqueue(url, { question: 'After?' });
        await reached(url, after.id, 'completed');
        expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
        expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
      } finally {
        await instance.stop();
      }
    }));

  it.concurrent('is named by a waiting job, by the list of models and by a metric, until it takes writes', () =>
    withRedis(refusal, async (redis, { begin, end }) => {
      const { models, ...rest } = quickModels();
      const world = await startInstance({
        redis,
        models: { ...rest, models: { o3: { ...modelOf(models), maxInFlight: 1 } } },
      });
      const { url } = world;
      const health = await startWorkerHealth(() => world.workers[0], '127.0.0.1', 0);
      const metric = async (): Promise<string> =>
        (await fetch(`http://127.0.0.1:${health.port}/metrics`)).text();
      try {
        const first = await enqueue(url, { question: 'First?', metadata: { sim_think_ms: '4000' } });
        await reached(url, first.id, 'active');
        const second = await enqueue(url, { question: 'Second?' });
        await begin();
        const named = `Redis takes no writes: ${code}`;
        await eventually(async () => {
          const { body } = await call(url, 'GET', `/jobs/${second.id}`);
          expect(body).toMatchObject({
            status: 'waiting',
            waiting_for: expect.stringContaining(named),
            eta_ms: null,
          });
          const answer = await call(url, 'GET', '/models');
          expect(answer.body).toMatchObject({
            models: [{ state: { status: 'paused', until: null, reason: expect.stringContaining(named) } }],
          });
          expect(await metric()).toContain('\no3q_redis_ready 0\n');
        });
        await end();
        await eventually(async () => {
          const { body: job } = await call(url, 'GET', `/jobs/${second.id}`);
          expect(job).toMatchObject({ status: 'completed' });
          const { body } = await call(url, 'GET', '/models');
          expect(body).toMatchObject({ models: [{ state: { status: 'open', reason: null } }] });
          expect(await metric()).toContain('\no3q_redis_ready 1\n');
        });
      } finally {
        await health.close();
        await world.stop();
      }
    }));
});

function modelOf(models: Models['models']): ModelConfig {
  const { o3 } = models;
  if (o3 === undefined) throw new Error('expected o3 among the models');
  return o3;
}
