import { QueueError } from '../../../src/errors/problem.ts';
import { connectRedis, type RedisClient } from '../../../src/redis/connection.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { createRedisGuard } from '../../../src/redis/guard.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let server: TestRedis;
let clients: RedisClient[];

beforeEach(async () => {
  server = await startTestRedis();
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await server.stop();
});

function connect(url = server.url): RedisClient {
  const client = connectRedis(url, 'fail-fast', { onError: () => {} });
  clients.push(client);
  return client;
}

const away = { name: 'QueueError', code: 'redis_unavailable' };

it('the first use of a guard waits for the first connection', async () => {
  const redis = connect();
  expect(redis.status).not.toBe('ready');
  const guard = createRedisGuard(redis, server.url);
  expect(await Promise.all([guard(() => redis.ping()), guard(() => redis.ping())])).toEqual(['PONG', 'PONG']);
});

it('a guard waits once for a connection that never comes, and then refuses work at once without trying it', async () => {
  const port = await findFreePort();
  const url = `redis://:secret@127.0.0.1:${port}`;
  const redis = connect(url);
  const guard = createRedisGuard(redis, url);
  let tried = 0;
  const work = async (): Promise<void> => {
    tried += 1;
  };
  await expect(guard(work)).rejects.toMatchObject({
    ...away,
    message: expect.stringMatching(
      new RegExp(
        `^Redis at redis://:\\*{3}@127\\.0\\.0\\.1:${port} is not available \\(the connection is .*\\)\\. Nothing was changed`,
      ),
    ),
  });
  // No timer and no I/O lies between the call and its refusal: it comes before the next turn of the event
  // loop.
  const order: string[] = [];
  setImmediate(() => order.push('next turn'));
  await guard(work).catch((error: QueueError) => order.push(error.code));
  expect(order).toEqual(['redis_unavailable']);
  expect(tried).toBe(0);
});

it('the error of a command that broke off says that it may have been carried out', async () => {
  const redis = connect();
  const guard = createRedisGuard(redis, server.url);
  await guard(() => redis.ping());
  await server.kill('SIGSTOP');
  await expect(guard(() => redis.set('a', 'b'))).rejects.toMatchObject({
    ...away,
    message: expect.stringMatching(
      /^The connection to Redis broke \(Command timed out\)\. The request may have been carried out/,
    ),
    cause: expect.objectContaining({ message: 'Command timed out' }),
  });
  await server.kill('SIGCONT');
});

it('a guard waits once for a Redis that hangs, then refuses work without trying it until Redis answers', async () => {
  const redis = connect();
  const guard = createRedisGuard(redis, server.url);
  await guard(() => redis.ping());
  await server.kill('SIGSTOP');
  await expect(guard(() => redis.ping())).rejects.toMatchObject(away);
  let tried = 0;
  const work = async (): Promise<void> => {
    tried += 1;
  };
  await expect(guard(work)).rejects.toMatchObject({
    ...away,
    message: 'Redis does not answer. Nothing was changed; try again in a moment',
  });
  expect(tried).toBe(0);
  await server.kill('SIGCONT');
  await eventually(() => guard(work));
  expect(tried).toBe(1);
});

it.each<[what: string, arrange: (redis: RedisClient) => Promise<unknown>, said: RegExp]>([
  ['is full', (redis) => redis.config('SET', 'maxmemory', '1'), /OOM/],
  ['has become a replica', (redis) => redis.call('REPLICAOF', '127.0.0.1', '1'), /READONLY/],
  ['misses replicas', (redis) => redis.config('SET', 'min-replicas-to-write', '1'), /NOREPLICAS/],
])('a guard treats a Redis that %s as unavailable', async (_what, arrange, said) => {
  const redis = connect();
  const guard = createRedisGuard(redis, server.url);
  await guard(() => arrange(redis));
  await expect(guard(() => redis.set('a', 'b'))).rejects.toMatchObject({
    ...away,
    message: expect.stringMatching(said),
  });
  const script = "redis.call('SET', KEYS[1], 'b')";
  await expect(guard(() => redis.eval(script, 1, 'a'))).rejects.toMatchObject(away);
});

it('a guard passes on other errors unchanged', async () => {
  const redis = connect();
  const guard = createRedisGuard(redis, server.url);
  await guard(() => redis.set('text', 'x'));
  await expect(guard(() => redis.lpush('text', 'x'))).rejects.toThrow(/^WRONGTYPE/);
  const refused = new QueueError('job_not_found', 'no such job');
  await expect(guard(() => Promise.reject(refused))).rejects.toBe(refused);
});
