import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.ts';
import { call, enqueue, reached } from '../../support/http/http-calls.ts';
import { openWebhookReceiver } from '../../support/http/webhook-receiver.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Silence is noticed within 3 s; the rest is for a busy machine. */
const LIMIT_MS = 60_000;

const SIGNING_SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;

/** The rules of docs/operating/REDIS.md, as an operator copies them. */
function documentedRules(): string[] {
  const text = readFileSync(join(__dirname, '../../../docs/operating/REDIS.md'), 'utf8');
  const [, rules] = /`ACL SETUSER o3q (on >PASSWORD [^`]+)`/.exec(text) ?? [];
  if (rules === undefined) throw new Error('docs/operating/REDIS.md was expected to have the ACL');
  return rules.split(' ');
}

let redis: TestRedis;
let admin: Redis;
let instance: Instance;
beforeEach(async () => {
  redis = await startTestRedis();
  admin = new Redis(redis.url);
  await admin.call('ACL', 'SETUSER', 'o3q', ...documentedRules());
  instance = await startInstance({
    redis: { ...redis, url: redis.url.replace('//', '//o3q:PASSWORD@') },
    webhooksOut: { secret: SIGNING_SECRET, retryDelaysMs: [10] },
  });
});
afterEach(async () => {
  await instance.stop();
  admin.disconnect();
  await redis.stop();
});

const refusals = (): string[] => instance.logLines.filter((line) => line.includes('NOPERM'));

it('the rights of docs/operating/REDIS.md are enough for every step of a job, and for the board', async () => {
  const { url } = instance;
  const { id } = await enqueue(url, { question: 'May I?' });
  await reached(url, id, 'completed');
  const running = await enqueue(url, { question: 'And stop?', metadata: { sim_think_ms: '60000' } });
  await reached(url, running.id, 'active');
  await call(url, 'POST', `/jobs/${running.id}/cancel`);
  await reached(url, running.id, 'cancelled');
  await call(url, 'POST', `/jobs/${running.id}/retry`);
  await reached(url, running.id, 'active');
  await call(url, 'POST', `/jobs/${running.id}/cancel`);
  const delayed = await enqueue(url, { question: 'Later?', delay_ms: 300 });
  await reached(url, delayed.id, 'completed');
  for (const path of [
    '/jobs',
    '/models',
    '/scaling',
    '/usage',
    '/readyz',
    `/jobs/${id}/result`,
    `/jobs/${id}/events`,
  ]) {
    expect(await call(url, 'GET', path)).toMatchObject({ status: 200 });
  }
  expect((await fetch(new URL('/board/api/queues', url))).status).toBe(200);
  expect(await call(url, 'DELETE', `/jobs/${id}`)).toMatchObject({ status: 204 });
  const receiver = await openWebhookReceiver();
  await enqueue(url, { question: 'And tell?', webhook_url: receiver.url });
  await eventually(() => expect(receiver.received).toHaveLength(1), LIMIT_MS);
  await receiver.close();
  const cancel = { body: { filter: { status: 'waiting' } } };
  expect(await call(url, 'POST', '/jobs/cancel', cancel)).toMatchObject({ status: 202 });
  await eventually(
    async () =>
      expect(await call(url, 'GET', '/actions')).toMatchObject({
        body: { actions: [expect.objectContaining({ status: 'done' })] },
      }),
    LIMIT_MS,
  );
  expect(await instance.workers[0]?.metrics.text()).toContain('o3q_redis_ready 1');
  expect(refusals()).toEqual([]);
});

it('they are enough for the heartbeat, and for what follows when Redis has hung', async () => {
  const { url } = instance;
  const { id } = await enqueue(url, { question: 'Still there?', metadata: { sim_think_ms: '5000' } });
  await reached(url, id, 'active');
  await redis.kill('SIGSTOP');
  await eventually(() => expect(instance.logLines.join()).toMatch(/has sent nothing for 2000 ms/), LIMIT_MS);
  await redis.kill('SIGCONT');
  await eventually(
    async () => expect(await call(url, 'GET', '/readyz')).toMatchObject({ status: 200 }),
    LIMIT_MS,
  );
  await eventually(
    async () =>
      expect(await call(url, 'GET', `/jobs/${id}`)).toMatchObject({ body: { status: 'completed' } }),
    LIMIT_MS,
  );
  expect(refusals()).toEqual([]);
});

it('they are no more than that: other keys, and what changes the server, are refused', async () => {
  const client = new Redis(redis.url.replace('//', '//o3q:PASSWORD@'));
  client.on('error', () => {});
  try {
    expect(await client.call('WAIT', '0', '1')).toBeGreaterThanOrEqual(0);
    await expect(client.set('other:key', '')).rejects.toThrow(/NOPERM/);
    await expect(client.flushall()).rejects.toThrow(/NOPERM/);
    await expect(client.config('GET', '*')).rejects.toThrow(/NOPERM/);
    await expect(client.publish('other:channel', '')).rejects.toThrow(/NOPERM/);
  } finally {
    client.disconnect();
  }
});
