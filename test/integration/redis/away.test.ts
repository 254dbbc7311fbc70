import { Redis } from 'ioredis';
import { type Producer, startProducer } from '../../../producer/producer.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, enqueue, expectProblem, reached, viewOf } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let redis: TestRedis;
let instance: Instance;
let watcher: Redis;

beforeEach(async () => {
  redis = await startTestRedis({ appendOnly: true });
  instance = await startInstance({ redis });
  watcher = new Redis(redis.url);
  watcher.on('error', () => {});
});
afterEach(async () => {
  watcher.disconnect();
  await redis.kill('SIGCONT');
  await instance.stop();
  await redis.stop();
});

/** Every route that needs Redis. */
function routes(id: string): [method: string, path: string, body?: unknown][] {
  return [
    ['POST', '/jobs', { question: 'Now?' }],
    ['POST', '/jobs?wait=60', { question: 'Now?' }],
    ['GET', '/jobs'],
    ['GET', '/jobs?status=failed&q=x&limit=1'],
    ['GET', `/jobs/${id}`],
    ['GET', `/jobs/${id}/result`],
    ['GET', `/jobs/${id}/result?wait=60`],
    ['POST', `/jobs/${id}/cancel`],
    ['POST', `/jobs/${id}/retry`],
    ['DELETE', `/jobs/${id}`],
    ['GET', '/readyz'],
  ];
}

function expectUnavailable(answer: Answer): void {
  expectProblem(answer, 503, 'redis_unavailable');
  expect(answer.headers).toMatchObject({ 'retry-after': '1', 'retry-after-ms': '1000' });
}

/** Waits until the producer has noticed that its connection is gone. */
async function noticed(): Promise<void> {
  await eventually(async () =>
    expect(await call(instance.url, 'GET', '/readyz')).toMatchObject({ status: 503 }),
  );
}

async function backAgain(): Promise<void> {
  await eventually(async () =>
    expect(await call(instance.url, 'GET', '/readyz')).toMatchObject({ status: 200 }),
  );
}

/** Waits until the producer holds a waiting caller: it has subscribed for one. */
async function held(): Promise<void> {
  await eventually(async () =>
    expect(await watcher.pubsub('NUMSUB', 'o3q:finished:{o3}')).toEqual(['o3q:finished:{o3}', 1]),
  );
}

it('every route refuses while Redis is dead, and serves again when Redis is back', async () => {
  const { id } = await enqueue(instance.url, { question: 'Before?' });
  await reached(instance.url, id, 'completed');
  const later = await enqueue(instance.url, { question: 'Later?', delay_ms: 3_600_000 });
  await redis.kill('SIGKILL');
  await noticed();
  for (const [method, path, body] of routes(id)) {
    expectUnavailable(await call(instance.url, method, path, { body }));
  }
  expect(await call(instance.url, 'GET', '/livez')).toMatchObject({ status: 200 });
  expectProblem(
    await call(instance.url, 'POST', '/jobs', { body: { question: '' } }),
    400,
    'invalid_request',
  );
  expectProblem(await call(instance.url, 'GET', '/nope'), 404, 'route_not_found');

  await redis.restart();
  await backAgain();
  expect(await viewOf(instance.url, id)).toMatchObject({ status: 'completed' });
  expect(await call(instance.url, 'GET', `/jobs/${id}/result`)).toMatchObject({ status: 200 });
  expect(await viewOf(instance.url, later.id)).toMatchObject({ status: 'delayed' });
  const next = await enqueue(instance.url, { question: 'After?' });
  await eventually(async () =>
    expect(await viewOf(instance.url, next.id)).toMatchObject({ status: 'completed' }),
  );
  expect(instance.simulator.ledger.totals()).toMatchObject({ purchases: 2 });
  expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
});

it('waiting callers are answered when Redis dies: 503, or 202 if the same call has enqueued their job', async () => {
  const body = { question: 'Slow?', metadata: { sim: 'stall', sim_events: '3' } };
  const { id } = await enqueue(instance.url, body);
  await reached(instance.url, id, 'active');
  const waiting = call(instance.url, 'GET', `/jobs/${id}/result?wait=300`);
  const posted = call(instance.url, 'POST', '/jobs?wait=300', { body });
  await held();
  await eventually(() => expect(instance.simulator.ledger.totals()).toMatchObject({ running: 2 }));
  await redis.kill('SIGKILL');
  expectUnavailable(await waiting);
  // A 503 would invite the caller to send the job again, and so to buy it twice.
  const accepted = await posted;
  expect(accepted).toMatchObject({ status: 202, body: { question: 'Slow?' } });
  await redis.restart();
  await backAgain();
  const { id: other } = accepted.body as { id: string };
  expect(await viewOf(instance.url, other)).toMatchObject({ id: other });
});

it('every route refuses while Redis is frozen, even if all are called at once', async () => {
  const { id } = await enqueue(instance.url, { question: 'Before?' });
  await reached(instance.url, id, 'completed');
  await redis.kill('SIGSTOP');
  const answers = await Promise.all(
    routes(id).map(([method, path, body]) => call(instance.url, method, path, { body })),
  );
  for (const answer of answers) expectUnavailable(answer);
  await redis.kill('SIGCONT');
  await backAgain();
  expect(await viewOf(instance.url, id)).toMatchObject({ status: 'completed' });
  const next = await enqueue(instance.url, { question: 'After?' });
  await eventually(async () =>
    expect(await viewOf(instance.url, next.id)).toMatchObject({ status: 'completed' }),
  );
  expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
});

it('a producer whose Redis is full is not ready and refuses writes, but still reads; it recovers when there is room', async () => {
  const { id } = await enqueue(instance.url, { question: 'Before?' });
  await reached(instance.url, id, 'completed');
  await watcher.config('SET', 'maxmemory-policy', 'noeviction');
  await watcher.config('SET', 'maxmemory', '1');
  expectUnavailable(await call(instance.url, 'GET', '/readyz'));
  expectUnavailable(await call(instance.url, 'POST', '/jobs', { body: { question: 'Now?' } }));
  expect(await call(instance.url, 'GET', `/jobs/${id}/result`)).toMatchObject({ status: 200 });
  expect(await call(instance.url, 'GET', '/board/api/queues')).toMatchObject({ status: 200 });
  await watcher.config('SET', 'maxmemory', '0');
  await backAgain();
  await reached(instance.url, (await enqueue(instance.url, { question: 'After?' })).id, 'completed');
});

it.each([
  ['was killed', 'SIGKILL'],
  ['was stopped', 'SIGSTOP'],
] as const)(
  'a producer that is started while Redis %s refuses, and serves when Redis is back',
  async (_what, signal) => {
    await redis.kill(signal);
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const producer = await startProducer({
      settings: instance.models,
      redisUrl: redis.url,
      prefix: 'o3q',
      host: '127.0.0.1',
      port: 0,
      logger: createLogger({ level: 'error', secrets: [], pretty: false, destination }),
    });
    // A new queue may wait once, and not for ever, for its first connection.
    const answers = await Promise.all(
      routes('some').map(([method, path, body]) => call(producer.url, method, path, { body })),
    );
    for (const answer of answers) expectUnavailable(answer);
    if (signal === 'SIGKILL') await redis.restart();
    else await redis.kill('SIGCONT');
    const id = await eventually(async () => {
      const answer = await call(producer.url, 'POST', '/jobs', { body: { question: 'Now?' } });
      expect(answer).toMatchObject({ status: 202 });
      return (answer.body as { id: string }).id;
    });
    await eventually(async () =>
      expect(await viewOf(producer.url, id)).toMatchObject({ status: 'completed' }),
    );
    expect(lines.filter((line) => line.includes('unexpected'))).toEqual([]);
    await stop(producer);
  },
);

it('a producer whose Redis never comes can be stopped', async () => {
  const producer = await startProducer({
    settings: instance.models,
    redisUrl: `redis://127.0.0.1:${await findFreePort()}`,
    prefix: 'o3q',
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
  });
  const waiting = call(producer.url, 'GET', '/jobs/some/result?wait=300');
  expectUnavailable(await waiting);
  await stop(producer);
});

async function stop(producer: Producer): Promise<void> {
  const isClosed = await shutDown([producer], { deadlineMs: 5000, hurry: new AbortController().signal });
  expect(isClosed).toBe(true);
}
