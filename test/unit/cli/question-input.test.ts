import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { readQuestion, readRequest } from '../../../cli/commands/question-input.ts';
import { waitChoice, wholeNumber } from '../../../cli/option.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'o3q-question-'));
});
afterAll(() => rm(folder, { recursive: true }));

const piped = (...pieces: (string | Buffer)[]) => Readable.from(pieces, { objectMode: false });
const keyboard = Object.assign(piped(), { isTTY: true });
const noContext = { context: undefined };

async function fileWith(name: string, bytes: string | Buffer): Promise<string> {
  await writeFile(join(folder, name), bytes);
  return join(folder, name);
}

describe('the question', () => {
  it('is the argument, and stdin is not read', async () => {
    expect(await readQuestion({ question: 'Why?', ...noContext }, piped('something else'))).toEqual({
      question: 'Why?',
    });
  });

  it.each(['-', undefined])(
    'is stdin when the argument is %j, without the line end of echo',
    async (question) => {
      expect(await readQuestion({ question, ...noContext }, piped('Why', '?\n'))).toEqual({
        question: 'Why?',
      });
    },
  );

  it('is whole when a character is split between two chunks', async () => {
    const bytes = Buffer.from('Größe?');
    const input = piped(bytes.subarray(0, 3), bytes.subarray(3));
    expect(await readQuestion({ question: '-', ...noContext }, input)).toEqual({ question: 'Größe?' });
  });

  it('is not awaited from a keyboard', async () => {
    await expect(readQuestion({ question: undefined, ...noContext }, keyboard)).rejects.toThrow(
      'expected a question, got none: o3q ask',
    );
  });

  it.each(['', ' \n'])('is refused when it is %j', async (text) => {
    await expect(readQuestion({ question: '-', ...noContext }, piped(text))).rejects.toThrow(
      'an empty stdin',
    );
    await expect(readQuestion({ question: text, ...noContext }, piped())).rejects.toThrow(
      'an empty argument',
    );
  });

  it('is refused when its bytes are not UTF-8', async () => {
    const input = piped(Buffer.from([0xff, 0xfe, 0x41, 0x00]));
    await expect(readQuestion({ question: '-', ...noContext }, input)).rejects.toThrow(/^stdin: .*UTF-8/);
  });
});

describe('a body of the Responses API', () => {
  it('is the JSON of a file or of stdin, with more metadata', async () => {
    const body = { input: 'Why?', metadata: { a: '1', b: '2' } };
    const path = await fileWith('body.json', `\ufeff${JSON.stringify(body)}`);
    expect(await readRequest(path, undefined, {}, keyboard)).toEqual({ request: body });
    const metadata = { b: '3', c: '4' };
    expect(await readRequest('-', undefined, { metadata }, piped(JSON.stringify(body)))).toEqual({
      request: { input: 'Why?', metadata: { a: '1', b: '3', c: '4' } },
    });
  });

  it.each([
    ['{"input":', {}, undefined, /^--request: stdin is not JSON: /],
    ['[]', {}, undefined, /^--request: stdin was expected to be a JSON object/],
    ['{}', {}, 'Why?', /^expected a question or --request, got both/],
    ['{}', { maxOutputTokens: 16 }, undefined, /^--max-output-tokens belongs to a question/],
  ])('is not %s with %j and the question %j', async (text, options, question, message) => {
    await expect(readRequest('-', question, options, piped(text))).rejects.toThrow(message);
  });
});

describe('the context', () => {
  it('is the unchanged content of a file', async () => {
    const context = await fileWith('notes.md', ' # Notes\n\n');
    expect(await readQuestion({ question: 'Why?', context }, piped())).toEqual({
      question: 'Why?',
      context: ' # Notes\n\n',
    });
  });

  it('is stdin for -', async () => {
    expect(await readQuestion({ question: 'Why?', context: '-' }, piped('diff\n'))).toEqual({
      question: 'Why?',
      context: 'diff\n',
    });
  });

  it.each(['-', undefined])('cannot be stdin when the question %j is', async (question) => {
    await expect(readQuestion({ question, context: '-' }, piped('one'))).rejects.toThrow('got both');
  });

  it('is refused with the name of the file when the file cannot be read', async () => {
    const missing = join(folder, 'missing.md');
    await expect(readQuestion({ question: 'Why?', context: missing }, piped())).rejects.toThrow(
      /^--context: .*missing\.md cannot be read: .*ENOENT/,
    );
  });

  it('is refused with the name of the file when the file is not text', async () => {
    const context = await fileWith('picture.png', Buffer.from([0x89, 0x50, 0x4e, 0x47]));
    await expect(readQuestion({ question: 'Why?', context }, piped())).rejects.toThrow(
      /picture\.png: .*UTF-8/,
    );
  });
});

describe('--wait', () => {
  it.each<[string | undefined, string | true | undefined, string | undefined, number | undefined]>([
    ['Why?', undefined, 'Why?', undefined],
    ['Why?', true, 'Why?', Number.POSITIVE_INFINITY],
    ['Why?', '60', 'Why?', 60_000],
    ['Why?', '0.5', 'Why?', 500],
    // What commander makes of `ask --wait "Why?"`.
    [undefined, 'Why?', 'Why?', Number.POSITIVE_INFINITY],
    [undefined, '60', undefined, 60_000],
  ])('with argument %j and value %j means question %j and %j ms', (word, wait, argument, timeoutMs) => {
    expect(waitChoice(word, wait)).toEqual({ argument, timeoutMs });
  });

  it.each(['60s', '-1', 'soon', ''])('refuses %j beside a question', (wait) => {
    expect(() => waitChoice('Why?', wait)).toThrow(`--wait: expected seconds, got "${wait}"`);
  });
});

describe('wholeNumber', () => {
  it.each(['', '1.5', '-1', '1e3', '0x10', ' 1', 'many'])('refuses %j', (text) => {
    expect(() => wholeNumber(text)).toThrow('Expected a whole number');
  });

  it('parses digits', () => {
    expect(wholeNumber('0042')).toBe(42);
  });
});
