import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createSimulator } from '../../../simulator/simulator.ts';
import { O3Queue } from '../../../src/queue/o3-queue.ts';
import { quotaKeysOf } from '../../../src/quota/keys.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const ADMIN = 'the-key-of-the-administrator';
const OLD = 'the-old-secret-of-alice';
const NEW = 'the-new-secret-of-alice';
const LIMIT_MS = 180_000;

const cli = createCliProcesses();
const folder = mkdtempSync(join(tmpdir(), 'o3q-changed-'));
let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(async () => {
  await cli.end();
  await redis.stop();
  rmSync(folder, { recursive: true });
});

function write(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const configWith = (maxInFlight: number): string => JSON.stringify({ models: { o3: { maxInFlight } } });
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });

it(
  'limits and keys change under traffic, in a producer and a worker that run, and no request fails',
  async () => {
    const variables = {
      REDIS_URL: redis.url,
      O3Q_CONFIG: write('o3q.config.json', configWith(1)),
      O3Q_KEYS_FILE: write('keys', `admin:${ADMIN},alice:${OLD}`),
    };
    const simulator = await cli.start(['simulator', '--port', '0', '--think-ms', '600000']);
    const upstream = await simulator.says(/^o3-queue simulator ready on (http:\S+)$/m);
    const producer = await cli.start(['producer'], { ...variables, PORT: '0' });
    const url = await producer.says(/^o3-queue producer ready on (http:\S+)$/m);
    const workerPort = await findFreePort();
    const worker = await cli.start(['worker'], {
      ...{ ...variables, OPENAI_BASE_URL: upstream, O3Q_WORKER_PORT: String(workerPort) },
    });
    await worker.says(/^o3-queue worker ready$/m);

    const statuses = new Set<number>();
    let isOver = false;
    const traffic = (async () => {
      while (!isOver) {
        const headers = bearer(ADMIN);
        statuses.add((await call(url, 'POST', '/jobs', { headers, body: { question: 'Why?' } })).status);
        statuses.add((await call(url, 'GET', '/jobs', { headers })).status);
      }
    })();
    const active = async (): Promise<number> => {
      const { body } = await call(url, 'GET', '/jobs?status=active', { headers: bearer(ADMIN) });
      return (body as { jobs: unknown[] }).jobs.length;
    };
    await eventually(async () => expect(await active()).toBe(1));

    // Both see the file by themselves. Nothing tells them.
    write('o3q.config.json', configWith(3));
    await eventually(async () => expect(await active()).toBe(3));
    await eventually(async () => {
      const { body } = await call(url, 'GET', '/models', { headers: bearer(ADMIN) });
      expect(JSON.stringify(body)).toContain('"max_in_flight":3');
    });
    expect(worker.stderr()).toContain('models.o3.maxInFlight: 1 → 3');

    // A file with a flaw changes nothing, and each process says that it refuses it, until the file is mended.
    const settingsOf = async (address: string) => {
      const [ready, metrics] = await Promise.all(
        ['/readyz', '/metrics'].map((path) => call(address, 'GET', path, { headers: bearer(ADMIN) })),
      );
      const [, refused] = /^o3q_config_refused (\d)$/m.exec(String(metrics?.body)) ?? [];
      return { ready: ready?.body, refused };
    };
    const reasons = [expect.stringContaining('the changed configuration is refused')];
    for (const [content, said] of [
      ['{', { ready: { status: 'degraded', reasons }, refused: '1' }],
      [configWith(3), { ready: { status: 'ok' }, refused: '0' }],
    ] as const) {
      write('o3q.config.json', content);
      for (const address of [url, `http://127.0.0.1:${workerPort}`])
        await eventually(async () => expect(await settingsOf(address)).toEqual(said));
    }
    expect(await active()).toBe(3);

    const body = { question: 'Later?', delay_ms: 3_600_000 };
    const { body: job } = await call(url, 'POST', '/jobs', { headers: bearer(OLD), body });
    const stream = await fetch(`${url}/jobs/${(job as { id: string }).id}/events`, { headers: bearer(OLD) });
    const broken = stream.text().then(
      () => 'ended',
      () => 'broken',
    );
    const logIn = await call(url, 'POST', '/login', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `key=${OLD}`,
    });
    const cookie = [logIn.headers['set-cookie']]
      .flat()
      .map((each) => String(each).split(';')[0])
      .join('; ');
    const statusOf = async (headers: Record<string, string>): Promise<number> =>
      (await call(url, 'GET', '/jobs', { headers })).status;
    expect(await statusOf({ cookie })).toBe(200);

    write('keys', `admin:${ADMIN},alice:${OLD},alice:${NEW}`);
    producer.kill('SIGHUP');
    await eventually(async () => expect(await statusOf(bearer(NEW))).toBe(200));
    expect(await statusOf(bearer(OLD))).toBe(200);
    expect(await statusOf({ cookie })).toBe(200);

    write('keys', `admin:${ADMIN},alice:${NEW}`);
    producer.kill('SIGHUP');
    await eventually(async () => expect(await statusOf(bearer(OLD))).toBe(401));
    expect(await statusOf({ cookie })).toBe(401);
    expect(await broken).toBe('broken');
    expect(await statusOf(bearer(NEW))).toBe(200);

    isOver = true;
    await traffic;
    expect([...statuses].sort()).toEqual([200, 202]);

    // What the producer says about its keys at the start it says after a change of them, too.
    expect(producer.stderr()).not.toContain('O3Q_KEYS has no key named admin');
    write('keys', `alice:${NEW}`);
    producer.kill('SIGHUP');
    await eventually(async () => expect(producer.stderr()).toContain('O3Q_KEYS has no key named admin'));
    expect(producer.stderr()).not.toContain('that have no key');
    write('o3q.config.json', JSON.stringify({ models: { o3: {} }, tenants: { bob: {} } }));
    producer.kill('SIGHUP');
    await eventually(async () => expect(producer.stderr()).toContain('that have no key'));
    expect(worker.stderr()).not.toContain('O3Q_KEYS has no key named admin');
    for (const { stderr } of [producer, worker])
      for (const secret of [ADMIN, OLD, NEW]) expect(stderr()).not.toContain(secret);
  },
  LIMIT_MS,
);

it(
  'a worker sends the next request with a new key of the upstream, and tries a model again that was refused',
  async () => {
    const [old, current] = ['sk-the-old-key-of-the-upstream', 'sk-the-new-key-of-the-upstream'];
    const simulator = createSimulator({ apiKey: current, thinkMs: 0 });
    const { url } = await simulator.listen(0);
    const client = new Redis(redis.url);
    const queue = new O3Queue({ redisUrl: redis.url, prefix: 'rotated' });
    try {
      const worker = await cli.start(['worker'], {
        ...{ REDIS_URL: redis.url, O3Q_PREFIX: 'rotated', OPENAI_BASE_URL: url },
        OPENAI_API_KEY_FILE: write('upstream-key', old),
      });
      await worker.says(/^o3-queue worker ready$/m);
      const { id } = await queue.enqueue({ question: 'With which key?' });
      const state = async () => (await queue.models())[0]?.state;
      await eventually(async () => expect(await state()).toMatchObject({ status: 'paused' }));
      // The next probe of its own would come in an hour.
      await client.hset(quotaKeysOf('rotated', 'o3').state, { probe_at: Date.now() + 3_600_000 });
      write('upstream-key', current);
      worker.kill('SIGHUP');
      expect(await queue.wait(id, { timeoutMs: 20_000 })).toMatchObject({ status: 'completed' });
      expect(worker.stderr()).toContain('OPENAI_API_KEY: changed');
      for (const secret of [old, current]) expect(worker.stderr()).not.toContain(secret);
    } finally {
      client.disconnect();
      await queue.close();
      await simulator.close();
    }
  },
  LIMIT_MS,
);
