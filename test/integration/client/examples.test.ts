import { type ExecFileException, execFile, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { findFreePort } from '../../../src/redis/embedded/local-port.ts';
import { eventually } from '../../support/eventually.ts';
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
    execFile(command, args, { env, timeout: 60_000 }, (error: ExecFileException | null, stdout, stderr) => {
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

/** A virtual environment in this folder is used if there is one: see CONTRIBUTING.md. */
const OWN_PYTHON = '.cache/python/bin/python3';
const PYTHON = existsSync(OWN_PYTHON) ? OWN_PYTHON : 'python3';
const SECRET = 'whsec_bzNxLW8zcS1vM3EtbzNxLW8zcS1vM3Etbw==';
const START_MS = 30_000;

/** Returns the program below a heading of docs/PYTHON.md. */
function programBelow(heading: string): string {
  const [, section = ''] = readFileSync('docs/PYTHON.md', 'utf8').split(`\n## ${heading}\n`);
  return section.split('```python\n')[1]?.split('```')[0] ?? '';
}

/** testWith runs a test only where Python can import a module, and says so where it cannot. */
function testWith(module: string): typeof test {
  if (spawnSync(PYTHON, ['-c', `import ${module}`]).status === 0) return test;
  process.stderr.write(`SKIPPED. ${PYTHON} with the module ${module} was expected for docs/PYTHON.md.\n`);
  return test.skip as typeof test;
}

/** Runs a program of docs/PYTHON.md. @returns what it has printed. */
async function printed(heading: string): Promise<string> {
  const { exitCode, output } = await run(PYTHON, ['-c', programBelow(heading)], {
    PYTHONIOENCODING: 'utf-8',
  });
  expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
  return output;
}

testWith('requests')('a Python program enqueues with requests, waits and prints the answer', async () => {
  expect(await printed('With requests')).toMatch(/^This is a simulated answer: .*Why is the sky blue\?/);
});

testWith('requests')('a Python program prints an answer while it is written', async () => {
  expect(await printed('While it is written')).toMatch(
    /^This is a simulated answer: .*Why is the sky blue\?/,
  );
});

testWith('openai')(
  'a Python program uses OpenAI’s SDK in the background, the foreground and streamed',
  async () => {
    const [background, ...answers] = (await printed("With OpenAI's SDK")).trim().split('\n');
    expect(background).toMatch(/^resp_\w+ (queued|in_progress)$/);
    expect(answers.join('\n')).toMatch(/Why is the sea blue\?.*\n.*Why is the grass green\?/s);
  },
);

testWith('hmac')('a Python receiver accepts webhooks that are signed, and no others', async () => {
  const port = await findFreePort();
  const env = { PATH: process.env['PATH'], PORT: String(port), O3Q_SIGNING_SECRET: SECRET };
  const child = spawn(PYTHON, ['-c', programBelow('A receiver of webhooks')], { env });
  let said = '';
  child.stdout.on('data', (text) => {
    said += String(text);
  });
  try {
    const body = JSON.stringify({ type: 'job.completed', data: { id: 'job_1', question: 'Warum – ü?' } });
    const send = async (signature: string, at = new Date()): Promise<number> => {
      const headers = {
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': signature,
      };
      return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })).status;
    };
    const signed = (at = new Date()): string => new Webhook(SECRET).sign('msg_1', at, body);
    await eventually(async () => {
      expect(child.exitCode).toBeNull();
      expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(501);
    }, START_MS);
    expect(await send(`v1,bm9uZQ== ${signed()}`)).toBe(204);
    await eventually(() => expect(said).toBe('msg_1 job.completed job_1\n'));
    expect(await send('v1,bm9uZQ==')).toBe(400);
    const old = new Date(Date.now() - 600_000);
    expect(await send(signed(old), old)).toBe(400);
  } finally {
    child.kill('SIGKILL');
  }
});
