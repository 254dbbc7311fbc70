import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../../src/redis/embedded/embedded-redis.ts';
import { processIdentity } from '../../../src/redis/embedded/process-identity.ts';
import { serverOfThisMachine } from '../../support/redis/redis-server.ts';

let dataDir: string;
let ownerFile: string;
let running: EmbeddedRedis[];

beforeEach(() => {
  dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'o3q-owner-')));
  ownerFile = join(dataDir, 'owner.json');
  running = [];
});

afterEach(async () => {
  await Promise.all(running.map((redis) => redis.stop()));
  rmSync(dataDir, { recursive: true, force: true });
});

async function startHere(): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({ ...serverOfThisMachine(), dataDir, appendOnly: false });
  running.push(redis);
  return redis;
}

/** The pid of a process that has just died. */
async function deadPid(): Promise<number> {
  const child = spawn('/bin/sh', ['-c', 'exit 0']);
  await new Promise((resolve) => child.once('exit', resolve));
  if (child.pid === undefined) throw new Error('/bin/sh did not start');
  return child.pid;
}

function ownerOnDisk(): unknown {
  return JSON.parse(readFileSync(ownerFile, 'utf8'));
}

describe('the owner of a data folder', () => {
  it('the owner file has the pid and the port while the server runs, and is gone afterwards', async () => {
    const redis = await startHere();
    expect(ownerOnDisk()).toMatchObject({ pid: process.pid, port: redis.port });
    await redis.stop();
    expect(existsSync(ownerFile)).toBe(false);
  });

  it('a second start in the same folder is refused with a hint how to share the server', async () => {
    const redis = await startHere();
    await expect(startHere()).rejects.toThrow(
      `This process (pid ${process.pid}) already runs the embedded Redis of ${dataDir} on port ${redis.port}. To share it, start this one with REDIS_URL=redis://:PASSWORD@127.0.0.1:${redis.port}, with the password in ${join(dataDir, 'password')}`,
    );
    expect(ownerOnDisk()).toMatchObject({ port: redis.port });
  });

  it('only one of several simultaneous starts gets a new folder', async () => {
    const outcomes = await Promise.allSettled([startHere(), startHere(), startHere(), startHere()]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ]);
  });

  it('only one of several simultaneous starts takes over from a dead owner', async () => {
    writeFileSync(ownerFile, JSON.stringify({ pid: await deadPid(), startedAt: 'then' }));
    const outcomes = await Promise.allSettled([startHere(), startHere(), startHere(), startHere()]);
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
  });

  it('an owner whose pid belongs to another process now counts as dead', async () => {
    const { startedAt } = await processIdentity(process.pid);
    expect(startedAt).toBeDefined();
    writeFileSync(ownerFile, JSON.stringify({ pid: process.pid, startedAt: `not ${startedAt}` }));
    const redis = await startHere();
    expect(ownerOnDisk()).toEqual({ pid: process.pid, startedAt, port: redis.port });
  });

  it('an owner file that was never finished is replaced', async () => {
    writeFileSync(ownerFile, '');
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(ownerFile, longAgo, longAgo);
    await startHere();
    expect(ownerOnDisk()).toMatchObject({ pid: process.pid });
  });

  it('a takeover succeeds after an earlier takeover crashed', async () => {
    writeFileSync(ownerFile, JSON.stringify({ pid: await deadPid(), startedAt: 'then' }));
    writeFileSync(`${ownerFile}.takeover`, '');
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(`${ownerFile}.takeover`, longAgo, longAgo);
    await startHere();
    expect(ownerOnDisk()).toMatchObject({ pid: process.pid });
  });

  it('a dead owner is replaced even if another program listens on its old port', async () => {
    const other = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address();
        resolve(address === null || typeof address === 'string' ? 0 : address.port);
      });
    });
    try {
      writeFileSync(ownerFile, JSON.stringify({ pid: await deadPid(), startedAt: 'then', port }));
      expect((await startHere()).port).not.toBe(port);
    } finally {
      other.close();
    }
  });

  it("the next start waits until a dead owner's server has ended", async () => {
    const redis = await startHere();
    writeFileSync(ownerFile, JSON.stringify({ pid: await deadPid(), startedAt: 'then', port: redis.port }));
    const order: string[] = [];
    const next = startHere().then(() => order.push('next one up'));
    void redis.exited.then(() => order.push('old one gone'));
    await redis.stop();
    await next;
    expect(order).toEqual(['old one gone', 'next one up']);
  });
});
