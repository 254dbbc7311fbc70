import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { eventually } from '../support/eventually.ts';
import { type FreshCopy, makeFreshCopy } from '../support/process/fresh-copy.ts';

/** From `npm start` to the ready line, in milliseconds: it may have to fetch a Redis. */
const START_LIMIT_MS = 240_000;
/** The promise of the README and of O3Q_SHUTDOWN_MS. */
const STOP_LIMIT_MS = 30_000;

const readme = readFileSync('README.md', 'utf8');
const tryIt = /\n## Try it\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? '';
/** Each command of "Try it", with the output that is printed below it. */
const steps = [...tryIt.matchAll(/```sh\n([\s\S]*?)\n```\n```\n([\s\S]*?)\n```/g)].map((match) => ({
  command: match[1] ?? '',
  output: match[2] ?? '',
}));
const snippet = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';

let copy: FreshCopy;
let port: number;
let started: Started | undefined;

beforeAll(async () => {
  copy = await makeFreshCopy();
  port = await freePort();
  // The last part of what `npm ci` does; the dependencies are those that run this test.
  await run('npm', ['run', 'prepare']);
}, START_LIMIT_MS);
afterAll(async () => {
  if (started !== undefined && !hasEnded(started)) process.kill(-(started.child.pid ?? 0), 'SIGKILL');
  await copy.remove();
});

test('the first screen holds three commands with their output', () => {
  expect(steps.map(({ command }) => command)).toEqual([
    'npm ci && npm start',
    expect.stringContaining('npx o3q ask'),
    expect.stringContaining('curl'),
  ]);
});

test(
  'npm start prints the ready line',
  async () => {
    started = await start('npm start');
    expectLike(started.output(), steps[0]?.output ?? '');
  },
  START_LIMIT_MS,
);

test.each(steps.slice(1))(
  '$command',
  async ({ command, output }) => {
    const ran = await run('sh', ['-c', here(command)]);
    expectLike(ran, output);
  },
  START_LIMIT_MS,
);

test(
  'the snippet of "From code" prints the answer',
  async () => {
    expect(await run(process.execPath, ['--input-type=module', '--eval', here(snippet)])).toContain(
      'This is a simulated answer',
    );
  },
  START_LIMIT_MS,
);

test(
  'Ctrl-C ends every process with exit code 0, and the finished jobs are there after the next start',
  async () => {
    const before = await jobs();
    expect(before).toHaveLength(3);
    expect(await interrupt(started)).toEqual({ exitCode: 0, left: [] });
    started = await start('npm start');
    expect(await jobs()).toEqual(before);
    expect(await interrupt(started)).toEqual({ exitCode: 0, left: [] });
  },
  2 * START_LIMIT_MS,
);

interface Started {
  child: ChildProcess;
  output(): string;
}

function hasEnded({ child }: Started): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/**
 * start runs a command in a process group of its own, as a terminal does, so that Ctrl-C reaches all of it
 * and nothing else.
 */
async function start(command: string): Promise<Started> {
  const [program = '', ...args] = command.split(' ');
  const child = spawn(program, args, { cwd: copy.folder, env: environment(), detached: true });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const started = { child, output: () => output };
  const ready = eventually(() => expect(output).toContain('o3-queue ready on'), START_LIMIT_MS);
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('close', () => reject(new Error(`${command} has ended with ${child.exitCode}:\n${output}`)));
  });
  ended.catch(() => undefined);
  await Promise.race([ready, ended]);
  return started;
}

async function interrupt(running: Started | undefined): Promise<{ exitCode: number | null; left: string[] }> {
  if (running === undefined) throw new Error('npm start was expected to run');
  const { child } = running;
  process.kill(-(child.pid ?? 0), 'SIGINT');
  await eventually(() => {
    if (!hasEnded(running)) throw new Error(`still running, its output:\n${running.output()}`);
  }, STOP_LIMIT_MS);
  const left = (await run('sh', ['-c', 'ps -eo args= || true']))
    .split('\n')
    .filter((line) => line.includes(copy.folder));
  return { exitCode: child.exitCode, left };
}

async function jobs(): Promise<unknown[]> {
  const reply = await fetch(`http://127.0.0.1:${port}/jobs`);
  const page: unknown = await reply.json();
  return typeof page === 'object' && page !== null && 'jobs' in page && Array.isArray(page.jobs)
    ? page.jobs
    : [page];
}

/** The README's own port may be taken on this machine. */
function here(text: string): string {
  return text.replaceAll('127.0.0.1:3000', `127.0.0.1:${port}`);
}

function run(command: string, args: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: copy.folder, env: environment() }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

/**
 * environment is that of a new user's shell: without our variables, and without those of the npm that runs
 * this test.
 */
function environment(): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, PORT: String(port), O3Q_URL: `http://127.0.0.1:${port}` };
}

/** Line by line; an ellipsis in the README stands for anything. */
function expectLike(output: string, documented: string): void {
  for (const line of here(documented).split('\n')) {
    const pattern = line
      .split('…')
      .map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*');
    expect(output).toMatch(new RegExp(pattern, 's'));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
