import { type ExecFileException, execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
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
function run(command: string, args: string[]): Promise<Run> {
  const env = { PATH: process.env['PATH'], O3Q_URL: instance.url, REDIS_URL: instance.redis.url };
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

test('the program in docs/DATA-FORMAT.md enqueues a job that is answered', async () => {
  const program = /```js\n([\s\S]*?)```/.exec(readFileSync('docs/DATA-FORMAT.md', 'utf8'))?.[1] ?? '';
  const { exitCode, output } = await run(process.execPath, ['--input-type=module', '--eval', program]);
  expect({ exitCode, output }).toEqual({ exitCode: 0, output: expect.stringMatching(/^[0-9a-f-]{36}\n$/) });
  const result = await fetch(`${instance.url}/jobs/${output.trim()}/result?wait=20`);
  expect(await result.json()).toMatchObject({ answer: expect.stringContaining('Why is the sky blue?') });
});
