import { execFile } from 'node:child_process';
import {
  appendFile,
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { O3Client } from '../../../src/client/o3-client.ts';
import { eventually } from '../../support/eventually.ts';
import { type O3qRun, o3q } from '../../support/process/o3q.ts';
import { useCliWorld } from '../../support/worlds/cli-world.ts';

const PROGRAM = join(__dirname, '../../../dist/cli/main.js');
const QUESTION = '"Why is the sky blue?"';
const NOTES = 'notes of years, in one line, without a newline at its end';

const world = useCliWorld();
let folder: string;

beforeEach(async () => {
  world.instance.simulator.ledger.reset();
  folder = await mkdtemp(join(tmpdir(), 'o3q-batch-files-'));
  await writeFile(path('in.jsonl'), QUESTION);
  await writeFile(path('notes.txt'), NOTES);
});
afterEach(() => rm(folder, { recursive: true }));

const path = (name: string): string => join(folder, name);
const read = (name: string): Promise<string> => readFile(path(name), 'utf8');
const purchases = (): number => world.instance.simulator.ledger.totals().purchases;
const run = (out: string, input = 'in.jsonl', url = world.instance.url): Promise<O3qRun> =>
  o3q(['batch', path(input), '--out', out], { environment: { O3Q_URL: url } });

/** The instance is at an address where nothing listens: the refusal comes before any call. */
async function refuses(words: RegExp, out: string, input?: string): Promise<void> {
  const before = await contents();
  expect(await run(out, input, 'http://127.0.0.1:9')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(words),
  });
  expect(await contents()).toEqual(before);
}

async function contents(): Promise<Record<string, string>> {
  const names = await readdir(folder);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await read(name).catch(() => 'no file')])),
  );
}

describe('a batch changes no file and asks nothing when the output', () => {
  it('is a file of other content, also through a link', async () => {
    await refuses(
      /notes\.txt was expected to be absent, empty or the answers of this batch/,
      path('notes.txt'),
    );
    await symlink('notes.txt', path('link'));
    await refuses(/is something else: choose another --out/, path('link'));
    await link(path('notes.txt'), path('other-name'));
    await refuses(/is something else: choose another --out/, path('other-name'));
    await writeFile(path('binary'), Buffer.from([0, 1, 2, 255, 254]));
    await refuses(/is something else/, path('binary'));
  });

  it('is the input, by whatever path', async () => {
    await refuses(/would be both the input and the output/, path('in.jsonl'));
    await refuses(
      /would be both the input and the output/,
      `${folder}/./../${folder.split('/').at(-1)}/in.jsonl`,
    );
    await symlink('in.jsonl', path('link'));
    await refuses(/would be both the input and the output/, path('link'));
    await refuses(/would be both the input and the output/, path('in.jsonl'), 'link');
    await link(path('in.jsonl'), path('other-name'));
    await refuses(/would be both the input and the output/, path('other-name'));
    await writeFile(path('empty'), '');
    await refuses(/would be both the input and the output/, path('empty'), 'empty');
  });

  it('would put its record over the input, or over a file of other content', async () => {
    await rename(path('in.jsonl'), path('out.jsonl.o3q'));
    await refuses(/would be both the input and the record/, path('out.jsonl'), 'out.jsonl.o3q');
    await writeFile(path('in.jsonl'), QUESTION);
    await refuses(/out\.jsonl\.o3q was expected to be written by o3q batch/, path('out.jsonl'));
    await mkdir(path('other.jsonl.o3q'));
    await refuses(/other\.jsonl\.o3q was expected to be a file/, path('other.jsonl'));
  });

  it('is no file, or in a folder that does not exist', async () => {
    await refuses(/was expected to be a file, got something else/, folder);
    await refuses(/\/dev\/null was expected to be a file/, '/dev/null');
    await refuses(/--out was expected to be a file, got -/, '-');
    await refuses(/cannot be written: ENOENT/, path('no/out.jsonl'));
    await refuses(/got the folder/, `${path('no')}/`);
    await symlink('nowhere', path('link'));
    await refuses(/cannot be written: ENOENT/, path('link'));
    await promisify(execFile)('mkfifo', [path('pipe')]);
    await expect(run(path('pipe'), 'in.jsonl')).resolves.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/pipe was expected to be a file/),
    });
  });

  it('is read-only', async () => {
    await writeFile(path('out.jsonl'), '');
    await chmod(path('out.jsonl'), 0o444);
    await refuses(/out\.jsonl cannot be written: it is read-only/, path('out.jsonl'));
  });

  it('is where the shell puts what the command prints', async () => {
    await writeFile(path('out.jsonl'), '');
    const command = `exec '${process.execPath}' '${PROGRAM}' batch '${path('in.jsonl')}' --out`;
    const environment = { env: { PATH: process.env['PATH'], O3Q_URL: 'http://127.0.0.1:9' }, cwd: folder };
    for (const out of ['/dev/stdout', path('out.jsonl')]) {
      const running = promisify(execFile)('sh', ['-c', `${command} '${out}' > out.jsonl`], environment);
      await expect(running).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/would be both the output and this command's standard output/),
      });
      expect(await read('out.jsonl')).toBe('');
    }
  });
});

it('a batch asks nothing of a file that is not JSON Lines in UTF-8, or that has a custom_id twice', async () => {
  await writeFile(path('in.jsonl'), Buffer.from(QUESTION, 'utf16le'));
  await refuses(/in\.jsonl: expected text in UTF-8, got zero bytes/, path('out.jsonl'));
  await writeFile(path('in.jsonl'), gzipSync(QUESTION));
  await refuses(/in\.jsonl: expected text in UTF-8, got data that is compressed/, path('out.jsonl'));
  await writeFile(path('in.jsonl'), `[${QUESTION}]`);
  await refuses(/got one JSON array over all lines/, path('out.jsonl'));
  await writeFile(path('in.jsonl'), '{"question":"a","custom_id":"c"}\r\n'.repeat(2));
  await refuses(/got "c" on line 1 and on line 2/, path('out.jsonl'));
});

it('a batch whose input is stdin is refused with what to do', async () => {
  expect(await o3q(['batch', '-', '--out', path('out.jsonl')])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/save it to a file first/),
  });
});

it('a batch writes through a link to an absent or empty file of its own, and continues by either path', async () => {
  await writeFile(path('answers.jsonl'), '');
  await symlink('answers.jsonl', path('link'));
  expect(await run(path('link'))).toMatchObject({ code: 0 });
  expect(JSON.parse(await read('answers.jsonl'))).toMatchObject({ line: 1, status: 'completed' });
  for (const name of ['answers.jsonl', 'link']) {
    expect(await run(path(name))).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Nothing to do/) });
  }
  expect(purchases()).toBe(1);
});

it('an unfinished batch is found by another path to its output', async () => {
  await writeFile(path('in.jsonl'), '{"question":"Later?","metadata":{"sim_think_ms":"60000"}}');
  await symlink('answers.jsonl', path('link'));
  await writeFile(path('answers.jsonl'), '');
  const first = await world.processes.start(['batch', path('in.jsonl'), '--out', path('link')], {
    O3Q_URL: world.instance.url,
  });
  await eventually(() => expect(purchases()).toBe(1));
  expect(await run(path('answers.jsonl'))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/Another process \(pid \d+\) is running this batch/),
  });
  first.kill('SIGKILL');
  await first.exited;
  expect(await readdir(folder)).toContain('answers.jsonl.o3q');
  await cancelAll('later?');
});

it('a complete output with something behind it is not called complete, and stays as it is', async () => {
  await run(path('out.jsonl'));
  const whole = await read('out.jsonl');
  await appendFile(path('out.jsonl'), whole.slice(0, 20));
  await refuses(/do not match/, path('out.jsonl'));
  await writeFile(path('out.jsonl'), `${whole}\n`);
  await refuses(/line 2 is something else/, path('out.jsonl'));
});

it('the record of one batch beside the output of another is refused, and both stay', async () => {
  await writeFile(path('in.jsonl'), '"First?"\n{"question":"Later?","metadata":{"sim_think_ms":"60000"}}');
  const environment = { O3Q_URL: world.instance.url };
  for (const name of ['one', 'two']) {
    const batch = await world.processes.start(['batch', path('in.jsonl'), '--out', path(name)], environment);
    await eventually(async () => expect(await read(name)).toMatch(/\n$/));
    batch.kill('SIGKILL');
    await batch.exited;
  }
  await rename(path('two.o3q'), path('one.o3q'));
  const before = await contents();
  expect(await run(path('one'))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/belong to two different batches/),
  });
  expect(await contents()).toEqual(before);
  await cancelAll('later?');
});

it.each([
  ['deleted', () => rm(path('out.jsonl'))],
  ['moved', () => rename(path('out.jsonl'), path('moved.jsonl'))],
  ['emptied', () => writeFile(path('out.jsonl'), '')],
])(
  'a batch whose output is %s meanwhile does not say that it is done, and loses no answer',
  async (_name, lose) => {
    await writeFile(path('in.jsonl'), '"First?"\n{"question":"Second?","metadata":{"sim_think_ms":"1500"}}');
    const environment = { O3Q_URL: world.instance.url };
    const batch = await world.processes.start(
      ['batch', path('in.jsonl'), '--out', path('out.jsonl')],
      environment,
    );
    await eventually(async () => expect(await read('out.jsonl')).toMatch(/\n$/));
    await lose();
    expect(await batch.exited).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/out\.jsonl was moved, deleted or changed by another program/),
    });
    expect(await run(path('out.jsonl'))).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/: 2 lines in/),
    });
    expect(await read('out.jsonl')).toMatch(/First\?.*\n.*Second\?|Second\?.*\n.*First\?/);
    expect(purchases()).toBe(2);
  },
);

it('a batch whose input changes while it is read does not say that it is done', async () => {
  const slow = (i: number) => JSON.stringify({ question: `${i}?`, metadata: { sim_think_ms: '1500' } });
  // Larger than what a stream reads at once, and one job at a time, so that the end has not been read yet.
  const lines = [slow(1), slow(2), `"${'x'.repeat(600_000)}"`];
  await writeFile(path('in.jsonl'), lines.join('\n'));
  const batch = await world.processes.start(
    ['batch', path('in.jsonl'), '--out', path('out.jsonl'), '--concurrency', '1'],
    { O3Q_URL: world.instance.url },
  );
  await eventually(() => expect(purchases()).toBe(1));
  await writeFile(path('in.jsonl'), lines.slice(0, 2).join('\n'));
  expect(await batch.exited).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/in\.jsonl was changed while the batch read it/),
  });
});

async function cancelAll(q: string): Promise<void> {
  const client = new O3Client({ url: world.instance.url });
  for (const { id } of (await client.list({ q })).jobs) await client.cancel(id).catch(() => {});
}
