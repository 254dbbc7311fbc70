import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  try {
    return await question(client);
  } finally {
    if (client.status !== 'end') client.disconnect();
  }
}

describe('the embedded Redis', () => {
  it('keeps what was written when it is stopped and started again', async () => {
    const first = await startHere();
    expect(await ask(first.url, (client) => client.incr('starts'))).toBe(1);
    await first.stop();
    const second = await startHere();
    expect(await ask(second.url, (client) => client.incr('starts'))).toBe(2);
  });

  it('says in one line what runs, where, and with which data', async () => {
    const redis = await startHere();
    expect(redis.description).toMatch(
      /^redis: (Redis|Valkey) \d+\.\d+\.\d+ \((installed|unpacked|O3Q_REDIS_BIN), \/.*-server\) on 127\.0\.0\.1:\d+, data in \/.*a folder \(append-only file\)$/,
    );
    expect(redis.description).toContain(`127.0.0.1:${redis.port},`);
  });

  it('never evicts, syncs every second, listens on loopback alone, in a folder for its owner alone', async () => {
    const redis = await startHere();
    const settings = await ask(redis.url, (client) =>
      client.config('GET', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save', 'bind'),
    );
    expect(settings).toEqual(
      expect.arrayContaining(['noeviction', 'yes', 'everysec', '127.0.0.1', 'save', '']),
    );
    expect(statSync(join(world, 'a folder')).mode & 0o777).toBe(0o700);
  });

  it('writes no data to disk without the append-only file', async () => {
    const redis = await startHere({ appendOnly: false });
    expect(await ask(redis.url, (client) => client.config('GET', 'appendonly'))).toEqual([
      'appendonly',
      'no',
    ]);
    await redis.stop();
    const again = await startHere({ appendOnly: false });
    expect(await ask(again.url, (client) => client.incr('starts'))).toBe(1);
  });

  it('reports an end that nobody asked for, with the last lines of its log', async () => {
    const redis = await startHere();
    process.kill(redis.pid, 'SIGKILL');
    const exit = await redis.exited;
    expect(exit).toMatchObject({ expected: false, exitCode: 137 });
    expect(exit.logTail).toContain('Ready to accept connections');
  });

  it('reports an end by stop() as expected, and may be stopped twice', async () => {
    const redis = await startHere();
    await Promise.all([redis.stop(), redis.stop()]);
    expect(await redis.exited).toMatchObject({ expected: true, exitCode: 0 });
  });

  it('takes another port when somebody was quicker', async () => {
    const stranger = createServer();
    const taken = await new Promise<number>((resolve) => {
      stranger.listen(0, '127.0.0.1', () => {
        const address = stranger.address();
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
      stranger.close();
    }
  });

  it('gives up at once when it cannot start, with its last words', async () => {
    const redis = await startHere();
    await redis.stop();
    writeFileSync(join(world, 'a folder', 'appendonlydir', 'appendonly.aof.manifest'), 'nonsense\n');
    const failure = startHere();
    await expect(failure).rejects.toThrow(/ended at once with exit code 1\. The end of its log/);
    await expect(failure).rejects.toThrow(/manifest/);
    await expect(failure).rejects.toMatchObject({ name: 'RedisUnavailableError' });
  });

  it('names a data folder that cannot be made', async () => {
    writeFileSync(join(world, 'file'), '');
    await expect(startHere({ dataDir: join(world, 'file', 'data') })).rejects.toThrow(/file\/data'/);
  });
});

describe('a test server', () => {
  it('comes back after kill -9 on the same port, with its data', async () => {
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

  it('stops also while it is frozen', async () => {
    const redis = await startTestRedis();
    await redis.kill('SIGSTOP');
    await redis.stop();
    await expect(ask(redis.url, (client) => client.ping())).rejects.toThrow();
  });
});
