import { spawn } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { type CliProcess, type CliProcesses, createCliProcesses } from '../../support/process/cli-process.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');
const PROCESS_LIMIT_MS = 150_000;

let instance: Instance;
let client: O3Client;
let processes: CliProcesses;
let folder: string;
let input: string;
let output: string;

beforeAll(async () => {
  instance = await startInstance();
  client = new O3Client({ url: instance.url });
});
afterAll(() => instance.stop());
beforeEach(async () => {
  instance.simulator.ledger.reset();
  processes = createCliProcesses();
  folder = await mkdtemp(join(tmpdir(), 'o3q-batch-'));
  [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')];
});
afterEach(async () => {
  await processes.end();
  await rm(folder, { recursive: true });
});

interface OutputLine {
  line: number;
  id: string | null;
  custom_id: unknown;
  status: string;
  answer: string | null;
  usage: unknown;
  response: { status_code: number; request_id: string; body: { object: string } } | null;
  metadata: unknown;
  error: { code: string; message: string } | null;
}

const run = (...args: string[]): Promise<O3qRun> =>
  o3q(['batch', input, '--out', output, ...args], { environment: { O3Q_URL: instance.url } });
const start = (url = instance.url, ...args: string[]): Promise<CliProcess> =>
  processes.start(['batch', input, '--out', output, ...args], { O3Q_URL: url });
const writeLines = (lines: readonly unknown[]): Promise<void> =>
  writeFile(input, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
async function answers(): Promise<OutputLine[]> {
  const text = await readFile(output, 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as OutputLine);
}
const hasAnswers = (count: number): Promise<void> =>
  eventually(async () => expect((await answers()).length).toBeGreaterThanOrEqual(count), PROCESS_LIMIT_MS);
const purchases = (): number => instance.simulator.ledger.totals().purchases;
const thinking = (question: string, thinkMs: number) => ({
  question,
  metadata: { sim_think_ms: String(thinkMs) },
});
const openAi = (customId: string, body: unknown, url = '/v1/responses') => ({
  custom_id: customId,
  method: 'POST',
  url,
  body,
});

it('a batch answers each line in the format of the line, and says what is wrong with invalid lines', async () => {
  const lines = [
    '\ufeff"Why is the sky blue?"',
    '',
    JSON.stringify({ question: 'And at night?', custom_id: 'night', metadata: { owner: 'anna' } }),
    JSON.stringify({ request: { input: 'On Mars?' } }),
    JSON.stringify(openAi('venus', { model: 'o3', input: 'On Venus?' })),
    JSON.stringify(openAi('chat', { model: 'o3', messages: [] }, '/v1/chat/completions')),
    JSON.stringify(openAi('model', { model: 'gpt-9', input: 'Who?' })),
    JSON.stringify(openAi('refused', { model: 'o3', input: 'No?', metadata: { sim: '400' } })),
    'nonsense',
    '   ',
    `"${'x'.repeat(11_000_000)}"`,
    '"The last, without an end of its line?"',
  ];
  await writeFile(input, lines.join('\r\n'));
  const { code, stdout, stderr } = await run();
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: expect.stringMatching(/^Done in .*: 10 lines, 5 without an answer in \S+out\.jsonl\n$/),
  });
  expect(stderr).toMatch(/^10 lines to ask/);
  const written = await answers();
  const ours = (line: number) => written.find((answer) => answer.line === line);
  const openAis = (id: string) => written.find((answer) => answer.custom_id === id);
  expect(written).toHaveLength(10);
  expect(ours(1)).toMatchObject({
    id: expect.stringMatching(/^job_/),
    status: 'completed',
    answer: expect.stringContaining('Why is the sky blue?'),
    usage: { total_tokens: expect.any(Number) },
    error: null,
  });
  expect(ours(3)).toMatchObject({ custom_id: 'night', metadata: { owner: 'anna' }, status: 'completed' });
  expect(ours(4)).toMatchObject({ answer: expect.stringContaining('On Mars?') });
  expect(openAis('venus')).toMatchObject({
    id: expect.stringMatching(/^batch_req_/),
    response: { status_code: 200, request_id: expect.stringMatching(/^job_/), body: { object: 'response' } },
    error: null,
  });
  expect(JSON.stringify(openAis('venus'))).toContain('On Venus?');
  expect(openAis('chat')).toMatchObject({ response: null, error: { code: 'unsupported_url' } });
  expect(openAis('model')).toMatchObject({ response: null, error: { code: 'unknown_model' } });
  expect(openAis('refused')).toMatchObject({ response: null, error: { code: 'invalid_request' } });
  expect(ours(9)).toMatchObject({ id: null, status: 'refused', error: { code: 'malformed_json' } });
  expect(ours(11)).toMatchObject({ status: 'refused', error: { code: 'line_too_long' } });
  expect(ours(12)).toMatchObject({ status: 'completed' });
  expect(purchases()).toBe(5);
  expect(await readdir(folder)).toEqual(['in.jsonl', 'out.jsonl']);
});

it('a batch that is complete is not run again', async () => {
  await writeLines(['Once?', 'Only once?']);
  expect(await run('--json')).toMatchObject({ code: 0, stdout: expect.stringMatching(/"answered": 2,/) });
  const before = await readFile(output, 'utf8');
  expect(await run()).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Nothing to do: .* is complete, with 2 lines/),
  });
  expect(await readFile(output, 'utf8')).toBe(before);
  expect(purchases()).toBe(2);
});

it(
  'a batch that is killed and interrupted continues: each line is enqueued once and answered once',
  async () => {
    const lines = Array.from({ length: 300 }, (_, i) =>
      openAi(`line-${i}`, { model: 'o3', input: `Number ${i}?` }),
    );
    await writeLines(lines);
    const first = await start(instance.url, '--concurrency', '20');
    await hasAnswers(60);
    first.kill('SIGKILL');
    await first.exited;
    // As if it had been in the middle of a line; and in the middle of its record.
    await appendFile(output, '{"id":"batch_req_0123');
    await appendFile(`${output}.o3q`, '{"jobs":[[29');

    const second = await start(instance.url, '--concurrency', '20');
    await hasAnswers(160);
    second.kill('SIGINT');
    const interrupted = await second.exited;
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toMatch(/^Continuing: \d+ of 300 lines done( \(\d+ failed\))?\n/);
    expect(interrupted.stderr).toMatch(
      /Stopped: \d+ of 300 lines done.*\. Jobs that are already enqueued still run\./,
    );
    expect(interrupted.stderr).toContain(`o3q batch ${input} --out ${output}`);

    expect(await run()).toMatchObject({ code: 0 });
    const written = await answers();
    expect(written.map(({ custom_id }) => custom_id).toSorted()).toEqual(
      lines.map(({ custom_id }) => custom_id).toSorted(),
    );
    for (const line of written) {
      const question = `Number ${String(line.custom_id).slice(5)}?`;
      expect(line).toMatchObject({ error: null });
      expect(JSON.stringify(line.response)).toContain(question);
    }
    expect(purchases()).toBe(300);
    expect(await readdir(folder)).toEqual(['in.jsonl', 'out.jsonl']);
  },
  PROCESS_LIMIT_MS,
);

it('a job that the instance no longer has is reported, and is not enqueued again', async () => {
  await writeLines([thinking('Quick?', 1), thinking('Slow?', 2500)]);
  const first = await start();
  await hasAnswers(1);
  first.kill('SIGINT');
  await first.exited;
  const slow = instance.simulator.ledger.entries().find(({ question }) => question === 'Slow?');
  expect(slow).toMatchObject({ state: expect.stringMatching(/queued|in_progress/) });
  const [job] = (await client.list({ q: 'slow?' })).jobs;
  if (job === undefined) throw new Error('expected the job of the second line');
  await client.wait(job.id);
  await client.delete(job.id);
  expect(await run()).toMatchObject({ code: 1 });
  const error = { code: 'job_not_found', message: expect.stringMatching(/no longer has job/) };
  expect(await answers()).toMatchObject([
    { line: 1, status: 'completed' },
    { line: 2, status: 'gone', id: job.id, error },
  ]);
  expect(purchases()).toBe(2);
});

it(
  'broken connections and an unavailable Redis cost a batch nothing but time',
  async () => {
    const proxy = await openTcpProxy(instance.url);
    await writeLines(Array.from({ length: 200 }, (_, i) => `Through trouble ${i}?`));
    const batch = await start(proxy.url, '--concurrency', '20');
    await hasAnswers(20);
    proxy.reset();
    await hasAnswers(60);
    proxy.reset();
    await hasAnswers(100);
    await instance.redis.kill('SIGSTOP');
    // The batch has noticed the outage.
    await eventually(() => expect(batch.stderr()).toMatch(/trying again/), 20_000);
    await instance.redis.kill('SIGCONT');
    const { code, stderr } = await batch.exited;
    await proxy.close();
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/answers again/) });
    expect(new Set((await answers()).map(({ line }) => line)).size).toBe(200);
    expect(await answers()).toHaveLength(200);
    expect(purchases()).toBe(200);
  },
  PROCESS_LIMIT_MS,
);

it('an output that cannot grow ends the batch with the reason, and the batch can continue later', async () => {
  await writeLines(
    Array.from({ length: 100 }, (_, i) => openAi(`${i}`, { model: 'o3', input: `Room for ${i}?` })),
  );
  // Blocks of 512 bytes: what is beside the output stays below it.
  const command = `ulimit -f 64 && exec '${process.execPath}' '${PROGRAM}' batch '${input}' --out '${output}'`;
  const child = spawn('sh', ['-c', command], { env: { PATH: process.env['PATH'], O3Q_URL: instance.url } });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, said }).toMatchObject({
    code: 1,
    said: expect.stringMatching(/out\.jsonl cannot be written: EFBIG/),
  });
  expect(said).toMatch(/continues where it stopped/);
  expect(await run()).toMatchObject({ code: 0 });
  expect(await answers()).toHaveLength(100);
  expect(purchases()).toBe(100);
});

describe('a batch enqueues nothing and refuses', () => {
  const refused = async (running: Promise<O3qRun>, words: RegExp): Promise<void> => {
    expect(await running).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(words) });
    expect(purchases()).toBe(0);
  };
  /** As an interruption right at the beginning leaves it. */
  async function begun(): Promise<void> {
    await writeLines([thinking('Later?', 60_000)]);
    const first = await start();
    await eventually(() => expect(first.stderr()).toMatch(/to ask/));
    first.kill('SIGKILL');
    await first.exited;
    for (const { id } of (await client.list({ q: 'later?' })).jobs) await client.cancel(id).catch(() => {});
    instance.simulator.ledger.reset();
  }

  it('another input for an output that was started', async () => {
    await begun();
    await writeLines(['Something else?']);
    await refused(run(), /belongs to another input/);
  });

  it('another model, or another instance', async () => {
    await begun();
    await refused(run('--model', 'o3'), /started without --model/);
    const proxy = await openTcpProxy(instance.url);
    const environment = { O3Q_URL: proxy.url };
    await refused(
      o3q(['batch', input, '--out', output], { environment }),
      /started at http\S+, which holds its jobs/,
    );
    await proxy.close();
  });

  it('an output that another process is writing', async () => {
    await writeLines([thinking('Later?', 60_000)]);
    const first = await start();
    await eventually(() => expect(first.stderr()).toMatch(/to ask/));
    expect(await run()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Another process \(pid \d+\)/),
    });
    first.kill('SIGINT');
    expect(await first.exited).toMatchObject({ code: 130 });
    for (const { id } of (await client.list({ q: 'later?' })).jobs) await client.cancel(id).catch(() => {});
  });

  it('an output that holds something else', async () => {
    await writeLines(['Why?']);
    await writeFile(output, '{"precious":"data"}\n');
    await refused(run(), /line 1 is something else: choose another --out/);
    expect(await readFile(output, 'utf8')).toBe('{"precious":"data"}\n');
  });

  it('a complete output of another input, or one that was shortened', async () => {
    await writeLines(['Why?', 'Why not?']);
    expect(await run()).toMatchObject({ code: 0 });
    instance.simulator.ledger.reset();
    const whole = await readFile(output);
    await writeLines(['Why?', 'Why so?']);
    await refused(run(), /do not match/);
    await writeLines(['Why?', 'Why not?']);
    await truncate(output, whole.indexOf('\n') + 1);
    await refused(run(), /do not match/);
  });

  it('paths that are not files, before it begins', async () => {
    await refused(run(), /in\.jsonl cannot be read: ENOENT/);
    await writeLines(['Why?']);
    await mkdir(output);
    await refused(run(), /out\.jsonl was expected to be a file/);
    const nowhere = o3q(['batch', input, '--out', join(folder, 'no', 'out.jsonl')], {
      environment: { O3Q_URL: instance.url },
    });
    await refused(nowhere, /cannot be written: ENOENT/);
    const inFolder = o3q(['batch', folder, '--out', join(folder, 'other')], {
      environment: { O3Q_URL: instance.url },
    });
    await refused(inFolder, /was expected to be a file/);
  });

  it('an instance that does not answer, and leaves no files behind', async () => {
    await writeLines(['Why?']);
    const environment = { O3Q_URL: 'http://127.0.0.1:9' };
    await refused(o3q(['batch', input, '--out', output], { environment }), /No o3-queue answers/);
    expect(await readdir(folder)).toEqual(['in.jsonl']);
  });
});
