import { createServer, type Server, type Socket } from 'node:net';
import { connectRedis, type RedisClient } from '../../../src/redis/connection.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { assertRedisUsable } from '../../../src/redis/usable.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let redis: TestRedis;
let clients: RedisClient[];

beforeAll(async () => {
  redis = await startTestRedis();
});

afterAll(() => redis.stop());

beforeEach(() => {
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.disconnect();
});

/** Checks the server of a URL as a program does at its start. @returns the warnings. */
async function checked(url: string, timeoutMs?: number): Promise<string[]> {
  const warnings: string[] = [];
  const client = connectRedis(url, 'fail-fast', { onError: () => undefined });
  clients.push(client);
  await assertRedisUsable(client, url, {
    warn: (sentence) => warnings.push(sentence),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  return warnings;
}

describe('the check of Redis at the start', () => {
  it('a good Redis passes without a warning', async () => {
    expect(await checked(redis.url)).toEqual([]);
  });

  it('a Redis that evicts passes with a warning about lost jobs', async () => {
    const admin = connectRedis(redis.url, 'patient', { onError: () => undefined });
    clients.push(admin);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    expect(await checked(redis.url)).toEqual([
      `Redis at ${redis.url} has maxmemory-policy allkeys-lru: when its memory is full it will silently delete jobs and results. Set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in its configuration file).`,
    ]);
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
  });

  it('an unreachable Redis is an error with the cause and without the password', async () => {
    const port = await findFreePort();
    const failure = checked(`redis://worker:secret@127.0.0.1:${port}/1`, 200);
    await expect(failure).rejects.toMatchObject({ name: 'RedisUnavailableError' });
    await expect(failure).rejects.toThrow(
      `Redis at redis://worker:***@127.0.0.1:${port}/1 cannot be used: connect ECONNREFUSED 127.0.0.1:${port} (waited 0.2 s). Start it or correct REDIS_URL`,
    );
  });

  it('a wrong password is an error that names the password', async () => {
    await expect(checked(`redis://nobody:secret@127.0.0.1:${redis.port}`, 500)).rejects.toThrow(
      /redis:\/\/nobody:\*\*\*@.*WRONGPASS/,
    );
  });

  it('a malformed URL is an error', async () => {
    await expect(checked('localhost:6379')).rejects.toThrow('Not a Redis URL: localhost:6379');
  });
});

describe('a Redis that is too old', () => {
  // No Redis of 2020 is available here, so this server only answers like one.
  let old: Server;
  let sockets: Socket[];

  beforeAll(async () => {
    sockets = [];
    const info =
      '# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n';
    old = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.setEncoding('utf8');
      socket.on('data', (text: string) => {
        // One reply to each command of the pipeline, in order.
        for (const [, name = ''] of text.matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
          if (name.toLowerCase() === 'info') socket.write(`$${info.length}\r\n${info}\r\n`);
          else socket.write(`-ERR unknown command '${name.toUpperCase()}'\r\n`);
        }
      });
    });
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
  });

  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => old.close(resolve));
  });

  it('a Redis that is too old is refused with its version and the oldest supported one', async () => {
    const address = old.address();
    if (address === null || typeof address === 'string') throw new Error('The old Redis does not listen');
    await expect(checked(`redis://127.0.0.1:${address.port}`)).rejects.toThrow(
      `Redis at redis://127.0.0.1:${address.port} is version 6.0.16; version 6.2 or newer (or Valkey) is needed.`,
    );
  });
});
