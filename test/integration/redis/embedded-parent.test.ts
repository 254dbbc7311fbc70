import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { Redis } from 'ioredis';
import { startEmbeddedRedis } from '../../../src/redis/embedded/embedded-redis.ts';
import { askLocalPort } from '../../../src/redis/embedded/local-port.ts';
import { eventually } from '../../support/eventually.ts';
import { serverOfThisMachine } from '../../support/redis/redis-server.ts';

const COMPILED = resolve('dist/src/redis/embedded/embedded-redis.js');

// A program as a user would write it. On SIGINT it takes its time, like a worker that finishes its jobs.
const PARENT = `
import { startEmbeddedRedis } from ${JSON.stringify(pathToFileURL(COMPILED).href)};
const options = JSON.parse(process.argv[1]);
try {
  const redis = await startEmbeddedRedis({ ...options, log: () => undefined });
  process.on('SIGINT', () => console.log('closing'));
  process.stdin.on('data', async (text) => {
    if (String(text) === 'throw') throw new Error('on purpose');
    if (String(text) === 'exit') process.exit(3);
    await redis.stop();
    process.exit(0);
  });
  console.log(JSON.stringify({ port: redis.port }));
} catch (error) {
  console.log(JSON.stringify({ refused: error.message }));
  process.exit(1);
}`;

type Parent = { readonly process: ChildProcess; readonly nextLine: () => Promise<string> };

let dataDir: string;
let parents: ChildProcess[];

beforeAll(() => {
  if (!existsSync(COMPILED)) throw new Error(`${COMPILED} is missing: run \`npm run build\` first`);
});

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'o3q-parent-'));
  parents = [];
});

afterEach(async () => {
  for (const parent of parents) parent.kill('SIGKILL');
  // A server that is about to stop still writes into the folder.
  await eventually(() => rmSync(dataDir, { recursive: true, force: true }));
});

function startParent(): Parent {
  const { log: _, ...server } = serverOfThisMachine();
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', PARENT, JSON.stringify({ ...server, dataDir })],
    // Its stderr contains only the stack of the error that it throws on purpose.
    { detached: true, stdio: ['pipe', 'pipe', 'ignore'] },
  );
  parents.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    nextLine: async () => {
      const { value, done } = await lines.next();
      if (done === true) throw new Error('The parent process ended without another line');
      return value;
    },
  };
}

async function readyParent(): Promise<Parent & { readonly port: number }> {
  const parent = startParent();
  const line: unknown = JSON.parse(await parent.nextLine());
  if (typeof line !== 'object' || line === null || !('port' in line)) {
    throw new Error(`The parent process did not start: ${JSON.stringify(line)}`);
  }
  return { ...parent, port: Number(line.port) };
}

async function increment(port: number): Promise<number> {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: null });
  try {
    return await client.incr('count');
  } finally {
    client.disconnect();
  }
}

async function untilGone(port: number): Promise<void> {
  await eventually(async () => expect(await askLocalPort(port, undefined)).toEqual({ kind: 'none' }));
}

async function incrementOnTheSameFolder(): Promise<number> {
  const redis = await startEmbeddedRedis({ ...serverOfThisMachine(), dataDir });
  try {
    return await increment(redis.port);
  } finally {
    await redis.stop();
  }
}

describe('the embedded Redis and its parent process', () => {
  it.each([
    ['is killed by SIGKILL', (parent: Parent) => parent.process.kill('SIGKILL')],
    ['is ended by SIGTERM', (parent: Parent) => parent.process.kill('SIGTERM')],
    ['throws', (parent: Parent) => parent.process.stdin?.write('throw')],
    ['calls process.exit', (parent: Parent) => parent.process.stdin?.write('exit')],
  ])('when the parent %s, the embedded Redis stops and keeps its data', async (_cause, end) => {
    const parent = await readyParent();
    expect(await increment(parent.port)).toBe(1);
    end(parent);
    await untilGone(parent.port);
    expect(await incrementOnTheSameFolder()).toBe(2);
  });

  it('when the parent is killed, the next start takes over the folder', async () => {
    const parent = await readyParent();
    expect(await increment(parent.port)).toBe(1);
    parent.process.kill('SIGKILL');
    expect(await incrementOnTheSameFolder()).toBe(2);
  });

  it('when the whole process group gets Ctrl-C, the embedded Redis stays until the parent has closed it', async () => {
    const parent = await readyParent();
    const group = parent.process.pid;
    if (group === undefined) throw new Error('The parent process has no pid');
    process.kill(-group, 'SIGINT');
    expect(await parent.nextLine()).toBe('closing');
    expect(await increment(parent.port)).toBe(1);
    parent.process.stdin?.write('stop');
    await untilGone(parent.port);
  });

  it('while the parent lives, another process is refused the folder and gets the address', async () => {
    const first = await readyParent();
    const second = startParent();
    expect(JSON.parse(await second.nextLine())).toEqual({
      refused: expect.stringContaining(
        `on port ${first.port}. To share it, start this one with REDIS_URL=redis://:PASSWORD@127.0.0.1:${first.port}, `,
      ),
    });
    expect(await increment(first.port)).toBe(1);
  });
});
