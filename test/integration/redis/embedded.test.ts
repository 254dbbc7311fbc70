import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import {
  type EmbeddedRedis,
  type EmbeddedRedisOptions,
  startEmbeddedRedis,
} from '../../../src/redis/embedded/embedded-redis.ts';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { serverOfThisMachine, startTestRedis } from '../../support/redis/redis-server.ts';

let world: string;
let running: EmbeddedRedis[];

beforeEach(() => {
  world = mkdtempSync(join(tmpdir(), 'o3q-embedded-'));
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map((redis) => redis.stop()));
  rmSync(world, { recursive: true, force: true });
});

async function startHere(options: Partial<EmbeddedRedisOptions> = {}): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({
    ...serverOfThisMachine(),
    dataDir: join(world, 'a folder'),
    ...options,
  });
  running.push(redis);
  return redis;
}

async function ask<T>(url: string, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { retryStrategy: null });
  client.on('error', () => {});
  try {
    return await question(client);
  } finally {
    if (client.status !== 'end') client.disconnect();
  }
}

describe('the embedded Redis', () => {
  it('the embedded Redis keeps its data over a stop and a start', async () => {
    const first = await startHere();
    expect(await ask(first.url, (client) => client.incr('starts'))).toBe(1);
    await first.stop();
    const second = await startHere();
    expect(await ask(second.url, (client) => client.incr('starts'))).toBe(2);
  });

  it('the description says in one line what runs, where, and with which data', async () => {
    const redis = await startHere();
    expect(redis.description).toMatch(
      /^redis: (Redis|Valkey) \d+\.\d+\.\d+ \((installed|unpacked|O3Q_REDIS_BIN), \/.*-server\) on 127\.0\.0\.1:\d+, data in \/.*a folder \(append-only file\)$/,
    );
    expect(redis.description).toContain(`127.0.0.1:${redis.port},`);
  });

  it('the server never evicts, syncs every second, listens only on loopback, and has a private folder', async () => {
    const redis = await startHere();
    const settings = await ask(redis.url, (client) =>
      client.config('GET', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save', 'bind'),
    );
    expect(settings).toEqual(
      expect.arrayContaining(['noeviction', 'yes', 'everysec', '127.0.0.1', 'save', '']),
    );
    expect(statSync(join(world, 'a folder')).mode & 0o777).toBe(0o700);
  });

  it('the server wants a password, which only the owner of the folder can read, also over a restart', async () => {
    const redis = await startHere({ protect: true });
    const file = join(world, 'a folder', 'password');
    expect(redis.url).toBe(`redis://:${readFileSync(file, 'utf8').trim()}@127.0.0.1:${redis.port}`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(world, 'a folder', 'redis.conf')).mode & 0o777).toBe(0o600);
    for (const wrong of [`redis://127.0.0.1:${redis.port}`, `redis://:guess@127.0.0.1:${redis.port}`]) {
      await expect(ask(wrong, (client) => client.incr('starts'))).rejects.toThrow(/NOAUTH|WRONGPASS/);
    }
    expect(execFileSync('ps', ['-o', 'args=', '-p', String(redis.pid)], { encoding: 'utf8' })).not.toContain(
      new URL(redis.url).password,
    );
    const { password } = new URL(redis.url);
    await redis.stop();
    expect(new URL((await startHere({ protect: true })).url).password).toBe(password);
  });

  it('without the append-only file no data is written to disk', async () => {
    const redis = await startHere({ appendOnly: false });
    expect(await ask(redis.url, (client) => client.config('GET', 'appendonly'))).toEqual([
      'appendonly',
      'no',
    ]);
    await redis.stop();
    const again = await startHere({ appendOnly: false });
    expect(await ask(again.url, (client) => client.incr('starts'))).toBe(1);
  });

  it('an unexpected end is reported with the last lines of the log', async () => {
    const redis = await startHere();
    process.kill(redis.pid, 'SIGKILL');
    const exit = await redis.exited;
    expect(exit).toMatchObject({ expected: false, exitCode: 137 });
    expect(exit.logTail).toContain('Ready to accept connections');
  });

  it('an end by stop() is reported as expected, and stop() may be called twice', async () => {
    const redis = await startHere();
    await Promise.all([redis.stop(), redis.stop()]);
    expect(await redis.exited).toMatchObject({ expected: true, exitCode: 0 });
  });

  it('another port is chosen when the first one is taken', async () => {
    const other = createServer();
    const taken = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address();
        resolve(address === null || typeof address === 'string' ? 0 : address.port);
      });
    });
    const free = await findFreePort();
    const offered = [taken, taken, free];
    try {
      const redis = await startHere({ choosePort: async () => offered.shift() ?? taken });
      expect(redis.port).toBe(free);
      await redis.stop();
      await expect(startHere({ choosePort: async () => taken })).rejects.toThrow(/Address already in use/);
    } finally {
      other.close();
    }
  });

  it('a server that cannot start is an error with the end of its log', async () => {
    const redis = await startHere();
    await redis.stop();
    writeFileSync(join(world, 'a folder', 'appendonlydir', 'appendonly.aof.manifest'), 'nonsense\n');
    const failure = startHere();
    await expect(failure).rejects.toThrow(/ended at once with exit code 1\. The end of its log/);
    await expect(failure).rejects.toThrow(/manifest/);
    await expect(failure).rejects.toMatchObject({ name: 'RedisUnavailableError' });
  });

  it('a data folder that cannot be created is named in the error', async () => {
    writeFileSync(join(world, 'file'), '');
    await expect(startHere({ dataDir: join(world, 'file', 'data') })).rejects.toThrow(/file\/data'/);
  });
});

describe('a test server', () => {
  it('a test server restarts after kill -9 on the same port with its data', async () => {
    const redis = await startTestRedis({ appendOnly: true });
    try {
      const firstPid = redis.pid;
      await ask(redis.url, (client) => client.incr('starts'));
      await redis.kill('SIGKILL');
      await redis.restart();
      expect(redis.pid).not.toBe(firstPid);
      expect(await ask(redis.url, (client) => client.incr('starts'))).toBe(2);
    } finally {
      await redis.stop();
    }
  });

  it('a test server can be stopped while it is frozen', async () => {
    const redis = await startTestRedis();
    await redis.kill('SIGSTOP');
    await redis.stop();
    await expect(ask(redis.url, (client) => client.ping())).rejects.toThrow();
  });
});
