import type { Redis } from 'ioredis';
import { connectRedis, type RedisClient, type RedisRole } from '../../../src/redis/connection.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { openTcpProxy, type TcpProxy } from '../../support/redis/tcp-proxy.ts';

/** Silence is noticed within 3 s; the rest is for a busy machine. */
const LIMIT_MS = 15_000;
const ROLES: readonly RedisRole[] = ['fail-fast', 'patient'];

/** A name that leads to one server, and after a failover to the other one. */
let old: TestRedis;
let next: TestRedis;
let name: TcpProxy;
let clients: { disconnect(): void }[];
let errors: string[];

beforeEach(async () => {
  [old, next] = await Promise.all([startTestRedis(), startTestRedis()]);
  name = await openTcpProxy(old.url);
  clients = [];
  errors = [];
});
afterEach(async () => {
  for (const client of clients) client.disconnect();
  await name.close();
  await Promise.all([old.stop(), next.stop()]);
});

async function connected(role: RedisRole): Promise<RedisClient> {
  const client = connectRedis(name.url, role, { onError: ({ message }) => errors.push(message) });
  clients.push(client);
  await eventually(() => expect(client.status).toBe('ready'));
  return client;
}

/** The server hangs: its process stands still, and its system still takes connections. */
const hang = (): Promise<void> => old.kill('SIGSTOP');
const failover = (): void => name.leadTo(next.url);

it.each(ROLES)('a %s connection leaves a server that hangs, and reaches the next one', async (role) => {
  const client = await connected(role);
  await hang();
  failover();
  await eventually(async () => expect(await client.set('key', 'written')).toBe('OK'), LIMIT_MS);
  expect(errors).toContainEqual(expect.stringMatching(/has sent nothing for 2000 ms; connecting again/));
  const admin = connectRedis(next.url, 'fail-fast', { onError: () => {} });
  clients.push(admin);
  await eventually(async () => expect(await admin.get('key')).toBe('written'));
});

it('a connection leaves a server that accepts it and then answers nothing', async () => {
  await hang();
  const client = connectRedis(name.url, 'patient', { onError: ({ message }) => errors.push(message) });
  clients.push(client);
  await eventually(() => expect(client.status).toBe('connect'));
  failover();
  expect(await client.set('key', 'written')).toBe('OK');
});

it('a connection through a lost route connects again when the route is back', async () => {
  const client = await connected('patient');
  name.blackHole();
  const answer = client.set('key', 'written');
  await eventually(() => expect(errors.join()).toMatch(/has sent nothing/), LIMIT_MS);
  name.heal();
  expect(await answer).toBe('OK');
});

it('the blocking copies of a connection, which BullMQ makes, leave a server that hangs too', async () => {
  const client = await connected('patient');
  const copy = (client as Redis).duplicate();
  clients.push(copy);
  copy.on('error', () => {});
  await eventually(() => expect(copy.status).toBe('ready'));
  const popped = copy.bzpopmin('waiting', 10);
  await hang();
  failover();
  await eventually(async () => expect(await client.zadd('waiting', 1, 'job')).toBe(1), LIMIT_MS);
  expect(await popped).toEqual(['waiting', 'job', '1']);
});

it('a connection that listens hears the messages of the next server', async () => {
  const client = await connected('patient');
  const heard: string[] = [];
  client.on('message', (_channel, message: string) => heard.push(message));
  await client.subscribe('news');
  await hang();
  failover();
  const admin = connectRedis(next.url, 'patient', { onError: () => {} });
  clients.push(admin);
  await eventually(async () => {
    await admin.publish('news', 'after the failover');
    expect(heard).toContain('after the failover');
  }, LIMIT_MS);
});

it('a process that stood still itself keeps its connection', async () => {
  const client = await connected('patient');
  let reconnected = 0;
  client.on('close', () => {
    reconnected += 1;
  });
  // The process stands still right after a beat, so that the answer arrives meanwhile and is not read.
  let beats = 0;
  const pipeline = client.pipeline.bind(client);
  const stoodStill = new Promise<void>((resolve) => {
    client.pipeline = (...commands) => {
      beats += 1;
      if (beats === 2) {
        queueMicrotask(() => {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000);
          resolve();
        });
      }
      return pipeline(...commands);
    };
  });
  await stoodStill;
  await Promise.all(Array.from({ length: 20 }, (_, i) => client.set(`key-${i}`, 'written')));
  expect({ reconnected, errors }).toEqual({ reconnected: 0, errors: [] });
});

it('a server that works on one long script for less than two seconds keeps its connections', async () => {
  const client = await connected('patient');
  const admin = connectRedis(old.url, 'patient', { onError: () => {} });
  clients.push(admin);
  await admin.eval(
    `local function now() local t = redis.call('TIME'); return t[1] * 1000 + t[2] / 1000 end
     local start = now()
     while now() - start < 1200 do end`,
    0,
  );
  expect(await client.set('key', 'written')).toBe('OK');
  expect(errors).toEqual([]);
});
