import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { connectRedis, type RedisClient } from '../../../src/redis/connection.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { assertRedisUsable } from '../../../src/redis/usable.ts';
import { enqueue, reached } from '../../support/http/http-calls.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { startInstance } from '../../support/worlds/instance.ts';

let redis: TestRedis;
let clients: RedisClient[];

beforeAll(async () => {
  redis = await startTestRedis({ appendOnly: true });
});

afterAll(() => redis.stop());

beforeEach(() => {
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.disconnect();
});

/** Checks the server of a URL as a program does at its start. @returns the warnings. */
async function checked(url: string, timeoutMs?: number, prefix?: string): Promise<string[]> {
  const warnings: string[] = [];
  const client = connectRedis(url, 'fail-fast', { onError: () => undefined });
  clients.push(client);
  await assertRedisUsable(client, url, {
    warn: (sentence) => warnings.push(sentence),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(prefix !== undefined && { prefix }),
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

  it('a Redis without an append-only file passes with a warning about lost jobs', async () => {
    const admin = connectRedis(redis.url, 'patient', { onError: () => undefined });
    clients.push(admin);
    await admin.config('SET', 'appendonly', 'no');
    expect(await checked(redis.url)).toEqual([
      expect.stringContaining('keeps no append-only file (appendonly no): a restart loses the jobs'),
    ]);
    await admin.config('SET', 'appendonly', 'yes');
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
    await expect(checked(`redis://stranger:secret@127.0.0.1:${redis.port}`, 500)).rejects.toThrow(
      /redis:\/\/stranger:\*\*\*@.*WRONGPASS.*The password of REDIS_URL, or its user, is wrong/,
    );
  });

  it('a missing password is an error that says what REDIS_URL must have, at once', async () => {
    const admin = new Redis(redis.url);
    await admin.config('SET', 'requirepass', 'secret');
    try {
      await expect(checked(redis.url, 60_000)).rejects.toThrow(
        'It wants a password, and REDIS_URL has none. REDIS_URL is redis://USER:PASSWORD@HOST:PORT',
      );
    } finally {
      await admin.config('SET', 'requirepass', '');
      admin.disconnect();
    }
  });

  it('a database that does not exist is an error that names it, at once', async () => {
    await expect(checked(`${redis.url}/99`, 60_000)).rejects.toThrow(
      `Redis at ${redis.url}/99 does not have the database that REDIS_URL names, or keeps this user out of it (ERR DB index is out of range). Correct the number at the end of REDIS_URL.`,
    );
  });

  it('a database that does not exist is never replaced by database 0', async () => {
    const client = connectRedis(`${redis.url}/99`, 'patient', { onError: () => undefined });
    clients.push(client);
    const written = client.set('o3q:lost', '1').catch(() => undefined);
    await expect(checked(`${redis.url}/99`)).rejects.toThrow('does not have the database');
    client.disconnect();
    await written;
    const admin = connectRedis(redis.url, 'patient', { onError: () => undefined });
    clients.push(admin);
    expect(await admin.exists('o3q:lost')).toBe(0);
  });

  it('the first process writes the layout of its data, and a process of another layout refuses to start', async () => {
    const admin = connectRedis(redis.url, 'patient', { onError: () => undefined });
    clients.push(admin);
    expect(await checked(redis.url, undefined, 'numbered')).toEqual([]);
    expect(await admin.get('numbered:layout')).toBe('1');
    expect(await checked(redis.url, undefined, 'numbered')).toEqual([]);
    await admin.set('numbered:layout', '2');
    await expect(checked(redis.url, undefined, 'numbered')).rejects.toThrow(
      `Redis at ${redis.url} has data of a newer o3-queue under numbered: (layout 2; this version has layout 1).`,
    );
    await admin.set('numbered:layout', '0');
    await expect(checked(redis.url, undefined, 'numbered')).rejects.toThrow('data of an older o3-queue');
    expect(await checked(redis.url, undefined, 'another')).toEqual([]);
  });

  it('a malformed URL is an error', async () => {
    await expect(checked('localhost:6379')).rejects.toThrow('Not a Redis URL: localhost:6379');
  });
});

describe('the check of the rights that a program needs', () => {
  let admin: RedisClient;

  beforeEach(() => {
    admin = connectRedis(redis.url, 'patient', { onError: () => undefined });
    clients.push(admin);
  });

  it('accepts the user of docs/operating/REDIS.md, and an instance with this user answers a job', async () => {
    const page = readFileSync('docs/operating/REDIS.md', 'utf8');
    const [, rights = 'off'] = /ACL SETUSER o3q on >PASSWORD ([^`]*)/.exec(page) ?? [];
    const url = await urlOf(rights);
    expect(await checked(url, undefined, 'o3q')).toEqual([]);
    const instance = await startInstance({ redis: { ...redis, url } });
    try {
      const { id } = await enqueue(instance.url, { question: 'May I?' });
      await reached(instance.url, id, 'completed');
      expect(instance.logLines.filter((line) => line.includes('NOPERM'))).toEqual([]);
    } finally {
      await instance.stop();
    }
  });

  it.each([
    [
      'write keys that begin with o3q:',
      '~* resetchannels &* +@all -set',
      'run the .set. command',
      '~o3q:* +@write',
    ],
    ['write keys that begin with o3q:', '~other:* &* +@all', 'one of the keys', '~o3q:* +@write'],
    [
      'listen to channels that begin with o3q:',
      '~* resetchannels +@all',
      'one of the channels',
      '&o3q:* +@pubsub',
    ],
    ['publish to channels that begin with o3q:', '~* &* +@all -publish', 'publish', '&o3q:* +@pubsub'],
    ['run scripts', '~* &* +@all -@scripting', 'evalsha', '+@scripting'],
    ['run scripts', '~* &* +@all -@stream', "user executing the script can't", '+@scripting'],
  ])('names what is missing in one sentence: to %s', async (right, rights, cause, acl) => {
    const url = await urlOf(rights);
    const masked = url.replace('secret', '***');
    const message = await checked(url, undefined, 'o3q').then(String, (error: Error) => error.message);
    expect(message).toMatch(new RegExp(cause));
    expect(message.replace(/ \(.*?\)\. Allow it/, '. Allow it')).toBe(
      `Redis at ${masked} does not let this user ${right}. Allow it (ACL: ${acl}), then start again.`,
    );
  });

  it('a replica is an error that points to the master', async () => {
    await admin.call('REPLICAOF', '127.0.0.1', '1');
    await expect(checked(redis.url, undefined, 'o3q')).rejects.toThrow(
      /is a replica, which takes no writes \(READONLY .*\)\. Point REDIS_URL at its master\.$/,
    );
    await admin.call('REPLICAOF', 'NO', 'ONE');
  });

  it('a Redis that is full passes with a warning, because that may pass', async () => {
    await admin.config('SET', 'maxmemory', '1');
    expect(await checked(redis.url, undefined, 'o3q')).toEqual([
      `Redis at ${redis.url} accepts no writes now (OOM command not allowed when used memory > 'maxmemory'.). Until it does, new jobs are refused and answers wait.`,
    ]);
    await admin.config('SET', 'maxmemory', '0');
  });

  it('a program that only reads needs no right to write', async () => {
    expect(await checked(await urlOf('~* &* +@all -@write'))).toEqual([]);
  });

  async function urlOf(rights: string): Promise<string> {
    await admin.call('ACL', 'SETUSER', 'tester', 'reset', 'on', '>secret', ...rights.split(' '));
    return `redis://tester:secret@127.0.0.1:${redis.port}`;
  }
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
