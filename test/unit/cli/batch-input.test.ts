import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { questionLines, surveyInput } from '../../../cli/batch/files/input.ts';
import { parseInputLine } from '../../../cli/batch/files/input-line.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'o3q-input-'));
  file = join(folder, 'in.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

it('a file from Windows, or joined from several, has the questions that are in it', async () => {
  await writeFile(file, '\ufeff"One?"\r\n\r\n\ufeff{"question":"Two?"}\r\n\ufeff\r\n\ufeff"Three?"\r\n');
  expect(await surveyInput(file)).toMatchObject({ questions: 3, lastLine: 5 });
  const asked = [];
  for await (const { number, bytes } of questionLines(file)) asked.push([number, parseInputLine(bytes, {})]);
  expect(asked).toMatchObject([
    [1, { ok: true, request: { question: 'One?' } }],
    [3, { ok: true, request: { question: 'Two?' } }],
    [5, { ok: true, request: { question: 'Three?' } }],
  ]);
});

it('a byte order mark inside a question belongs to the question', () => {
  expect(parseInputLine(Buffer.from('"a\ufeffb"'), {})).toMatchObject({
    request: { question: 'a\ufeffb' },
  });
});

it.each([
  [
    'UTF-16',
    Buffer.from('\ufeff"Why?"\r\n', 'utf16le'),
    /in\.jsonl: expected text in UTF-8, got text in UTF-16/,
  ],
  ['UTF-16 without a mark', Buffer.from('"Why?"\r\n', 'utf16le'), /zero bytes, as in text in UTF-16/],
  ['gzip', gzipSync('"Why?"\n'), /compressed with gzip: decompress it first/],
  ['an array on one line', '["Why?", "How?"]', /got one JSON array over all lines.*jq -c '\.\[\]'/],
  ['an array over many lines', '\ufeff\r\n[\r\n  "Why?"\r\n]\r\n', /got one JSON array/],
  ['an object over many lines', '{\n  "question": "Why?"\n}\n', /got one JSON object/],
])('a file that is %s is refused in one sentence', async (_name, content, words) => {
  await writeFile(file, content);
  await expect(surveyInput(file)).rejects.toThrow(words);
});

it.each([
  ['strings', '{"custom_id":"sky","question":"a"}\n"b"\n{"custom_id":"s\\u006by","question":"c"}', 'sky'],
  ['numbers', '{"custom_id":7,"question":"a"}\n"b"\n\ufeff{"question":"c","custom_id":7}', '7'],
])('the same custom_id twice is refused: %s', async (_name, content, id) => {
  await writeFile(file, content);
  await expect(surveyInput(file)).rejects.toThrow(new RegExp(`got "?${id}"? on line 1 and on line 3`));
});

it('lines without a custom_id, or with one that differs, are no repetition', async () => {
  const lines = [
    '{"custom_id":"7","question":"a"}',
    '{"custom_id":7,"question":"a"}',
    '{"custom_id":null,"question":"a"}',
    '{"custom_id":null,"question":"a"}',
    '{"question":"a","metadata":{"custom_id":"7"}}',
    '{"custom_id":"7", nonsense',
  ];
  await writeFile(file, lines.join('\n'));
  expect(await surveyInput(file)).toMatchObject({ questions: 6 });
});
