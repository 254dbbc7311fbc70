import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOfLine } from '../../../cli/batch/files/key.ts';
import { openOutput, surveyOutput } from '../../../cli/batch/files/output.ts';
import { answerLine } from '../../../cli/batch/files/output-line.ts';
import { batchOf, openRecord, readRecord, termsOf } from '../../../cli/batch/files/record.ts';
import { result } from '../../support/http/job-views.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'o3q-interrupted-'));
  file = join(folder, 'out.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const terms = {
  ...{ sha256: 'a'.repeat(64), model: null, instance: 'http://127.0.0.1:3000', on_late: 'wait' as const },
  needed_by: '2026-11-30T07:00:00.000Z',
};
/** What `--by 8am` means a day later. */
const later = { ...terms, needed_by: '2026-12-01T07:00:00.000Z' };
const batch = '0123456789abcdef';
// No such process, so that the record names no living owner.
const record = [
  { batch, terms },
  { process: { pid: 4_194_305 } },
  { jobs: [[1, 'job_1'] as const, [2, 'job_2'] as const] },
]
  .map((entry) => `${JSON.stringify(entry)}\n`)
  .join('');
const key = (line: number) => ({ batch, line, hash: hashOfLine(Buffer.from(`"${line}"`)) });
const completed = { status: 'completed', id: 'job_1', result } as const;
const output = [
  answerLine(key(12), { format: 'ours', customId: undefined, metadata: undefined }, completed),
  answerLine(key(2), { format: 'openai', customId: 'c' }, completed),
]
  .map((line) => `${line}\n`)
  .join('');

it('a record that was cut anywhere by a kill is recognized, and continued with its whole entries', async () => {
  for (let length = 0; length <= record.length; length += 1) {
    const kept = record.slice(0, length);
    const whole = kept.slice(0, kept.lastIndexOf('\n') + 1);
    await writeFile(file, kept);
    const found = await readRecord(file, later);
    expect(await readFile(file, 'utf8')).toBe(kept);
    expect(batchOf(found)).toBe(whole === '' ? undefined : batch);
    expect(termsOf(found)).toEqual(whole === '' ? undefined : terms);
    const opened = await openRecord(file, later, found);
    await opened.close();
    expect(opened.jobOf(2)).toBe(length === record.length ? 'job_2' : undefined);
    expect((await readFile(file, 'utf8')).startsWith(whole === '' ? '{"batch":"' : whole)).toBe(true);
    for (const line of (await readFile(file, 'utf8')).trimEnd().split('\n')) JSON.parse(line);
  }
});

it('an output that was cut anywhere by a kill is recognized, and continued after its whole lines', async () => {
  for (const text of [output, output.split('\n').toReversed().join('\n').slice(1).concat('\n')]) {
    for (let length = 0; length <= text.length; length += 1) {
      const kept = text.slice(0, length);
      const whole = kept.slice(0, kept.lastIndexOf('\n') + 1);
      await writeFile(file, kept);
      const survey = await surveyOutput(file, 12);
      expect(await readFile(file, 'utf8')).toBe(kept);
      expect(survey).toMatchObject({ wholeBytes: whole.length, done: whole.split('\n').length - 1 });
      const opened = await openOutput(file, survey);
      await opened.write('next');
      await opened.requireWhole();
      await opened.close();
      expect(await readFile(file, 'utf8')).toBe(`${whole}next\n`);
    }
  }
});

it.each([
  ['a note', 'a note of years'],
  ['a note that begins like an output line', '{"line":of years'],
  ['another program’s answer', '{"id":"batch_req_wnaDys'],
  ['a long object', `{"id":"${'x'.repeat(200)}`],
  ['a number', '{"line":1,"answer"'],
])('an output with %s in its last line, which has no end, is refused and stays', async (_name, text) => {
  for (const before of ['', output]) {
    await writeFile(file, before + text);
    await expect(surveyOutput(file, 12)).rejects.toThrow(/is something else: choose another --out/);
    expect(await readFile(file, 'utf8')).toBe(before + text);
  }
});

it.each([
  ['a note', 'a note of years'],
  ['a note in an object', '{"batch":"of years'],
  ['terms of another version', '{"batch":"0123456789abcdef","terms":{"sha1"'],
  ['a whole line', '{"process":{"pid":4194305}}\n'],
])('a record that is %s is refused and stays', async (_name, text) => {
  await writeFile(file, text);
  await expect(readRecord(file, terms)).rejects.toThrow(/written by o3q batch, got something else/);
  expect(await readFile(file, 'utf8')).toBe(text);
});

it.each([
  [{ on_late: undefined }, 'with --on-late wait'],
  [{ needed_by: undefined }, 'with --by 2026-11-30T07:00:00.000Z'],
  [{ model: 'o3' }, 'without --model'],
])('a batch does not continue with %j instead', async (change, started) => {
  await writeFile(file, record);
  await expect(readRecord(file, { ...terms, ...change })).rejects.toThrow(`was started ${started}`);
});

it('a record that another process has begun meanwhile is not taken over', async () => {
  const found = await readRecord(file, terms);
  await writeFile(file, record);
  await expect(openRecord(file, terms, found)).rejects.toThrow(/EEXIST/);
  expect(await readFile(file, 'utf8')).toBe(record);
});

it('an output that another program has written meanwhile is not touched', async () => {
  const survey = await surveyOutput(file, 12);
  await writeFile(file, 'a note');
  await expect(openOutput(file, survey)).rejects.toThrow(/just been changed by another program/);
  expect(await readFile(file, 'utf8')).toBe('a note');
});
