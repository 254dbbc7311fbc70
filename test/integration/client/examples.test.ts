import { type ExecFileException, execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance();
});
afterAll(() => instance.stop());

interface Run {
  exitCode: number;
  output: string;
}

/** Runs a program as a person would, from the top folder, against this file's instance. */
function run(command: string, args: string[], more: Record<string, string> = {}): Promise<Run> {
  const env = { PATH: process.env['PATH'], O3Q_URL: instance.url, REDIS_URL: instance.redis.url, ...more };
  return new Promise((resolve) => {
    execFile(command, args, { env, timeout: 20_000 }, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? -1), output: `${stdout}${stderr}` });
    });
  });
}

test.each(['client.mjs', 'functions.mjs', 'openai-sdk.mjs', 'queue.mjs'])(
  'examples/%s runs and prints an answer',
  async (file) => {
    const { exitCode, output } = await run(process.execPath, [`examples/${file}`]);
    expect({ exitCode, output }).toEqual({
      exitCode: 0,
      output: expect.stringContaining('This is a simulated answer'),
    });
  },
);

test('examples/curl.sh runs and prints the whole result, the events of both routes and the response', async () => {
  const { exitCode, output } = await run('sh', ['examples/curl.sh']);
  expect({ exitCode, output }).toEqual({
    exitCode: 0,
    output: expect.stringMatching(/"answer":"This is a simulated/),
  });
  expect(output).toMatch(/^event: delta$/m);
  expect(output).toMatch(/^event: response\.completed$/m);
  expect(output).toMatch(/^{"id":"resp_[0-9a-f]{32}".*"status":"completed"/m);
});

/** Returns a program of a language in docs/DATA-FORMAT.md. @param number counts from 1. */
function programIn(language: string, number = 1): string {
  const text = readFileSync('docs/DATA-FORMAT.md', 'utf8');
  return text.split(`\`\`\`${language}\n`)[number]?.split('```')[0] ?? '';
}

test('the program in docs/DATA-FORMAT.md enqueues a job that is answered', async () => {
  const args = ['--input-type=module', '--eval', programIn('js')];
  const { exitCode, output } = await run(process.execPath, args);
  expect({ exitCode, output }).toEqual({ exitCode: 0, output: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
  const result = await fetch(`${instance.url}/jobs/${output.trim()}/result?wait=20`);
  expect(await result.json()).toMatchObject({ answer: expect.stringContaining('Why is the sky blue?') });
});

// Python is not needed for development, and its BullMQ is not installed here: the program is parsed, not run.
const testWithPython = spawnSync('python3', ['--version']).status === 0 ? test : test.skip;

testWithPython('the Python program in docs/DATA-FORMAT.md parses', async () => {
  const program = programIn('python');
  expect(program).toContain('from bullmq import Queue');
  const parsed = await run('python3', ['-c', 'import ast, sys; ast.parse(sys.argv[1])', program]);
  expect(parsed).toEqual({ exitCode: 0, output: '' });
});

describe('a program in docs/DATA-FORMAT.md reads compressed data', () => {
  const context = readFileSync('docs/DATA-FORMAT.md', 'utf8');
  let id: string;
  beforeAll(async () => {
    const body = JSON.stringify({ question: 'What is it?', context });
    const headers = { 'content-type': 'application/json' };
    ({ id } = (await (await fetch(`${instance.url}/jobs`, { method: 'POST', headers, body })).json()) as {
      id: string;
    });
  });

  test('in Node', async () => {
    const args = ['--input-type=module', '--eval', programIn('js', 2)];
    const ran = await run(process.execPath, args, { JOB_ID: id });
    expect(ran).toEqual({ exitCode: 0, output: `${context.length}\n` });
  });

  testWithPython('in Python', async () => {
    const redis = new Redis(instance.redis.url);
    const data = (await redis.hget(`o3q:{o3}:${id}`, 'data')) ?? '';
    redis.disconnect();
    expect(data).toContain('"gzip":"H4sI');
    const program = `${programIn('python', 2)}\nimport sys\nprint(len(whole(json.loads(sys.argv[1]))["context"]))`;
    const ran = await run('python3', ['-c', program, data]);
    expect(ran).toEqual({ exitCode: 0, output: `${[...context].length}\n` });
  });
});
