import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { readQuestion } from '../../../cli/commands/question.ts';
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
  it('is the argument, and stdin is left alone', async () => {
    expect(await readQuestion({ question: 'Why?', ...noContext }, piped('something else'))).toEqual({
      question: 'Why?',
    });
  });

  it.each(['-', undefined])('is stdin for %j, without the line end of echo', async (question) => {
    expect(await readQuestion({ question, ...noContext }, piped('Why', '?\n'))).toEqual({ question: 'Why?' });
  });

  it('survives a character that is cut between two pieces', async () => {
    const bytes = Buffer.from('Größe?');
    const input = piped(bytes.subarray(0, 3), bytes.subarray(3));
    expect(await readQuestion({ question: '-', ...noContext }, input)).toEqual({ question: 'Größe?' });
  });

  it('is not waited for at a keyboard', async () => {
    await expect(readQuestion({ question: undefined, ...noContext }, keyboard)).rejects.toThrow(
      'expected a question: o3q ask',
    );
  });

  it.each(['', ' \n'])('is refused when it is %j', async (text) => {
    await expect(readQuestion({ question: '-', ...noContext }, piped(text))).rejects.toThrow(
      'an empty stdin',
    );
    await expect(readQuestion({ question: text, ...noContext }, piped())).rejects.toThrow('an empty text');
  });

  it('is refused when its bytes are no text', async () => {
    const input = piped(Buffer.from([0xff, 0xfe, 0x41, 0x00]));
    await expect(readQuestion({ question: '-', ...noContext }, input)).rejects.toThrow(/UTF-8.* stdin/);
  });
});

describe('the context', () => {
  it('is a file, as it is', async () => {
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
    await expect(readQuestion({ question, context: '-' }, piped('one'))).rejects.toThrow('not both');
  });

  it('is refused by name when it cannot be read', async () => {
    const missing = join(folder, 'missing.md');
    await expect(readQuestion({ question: 'Why?', context: missing }, piped())).rejects.toThrow(
      /^--context: .*missing\.md cannot be read: .*ENOENT/,
    );
  });

  it('is refused by name when it is no text', async () => {
    const context = await fileWith('picture.png', Buffer.from([0x89, 0x50, 0x4e, 0x47]));
    await expect(readQuestion({ question: 'Why?', context }, piped())).rejects.toThrow(/UTF-8.*picture\.png/);
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

describe('a whole number', () => {
  it.each(['', '1.5', '-1', '1e3', '0x10', ' 1', 'many'])('is not %j', (text) => {
    expect(() => wholeNumber(text)).toThrow('Expected a whole number');
  });

  it('is its digits', () => {
    expect(wholeNumber('0042')).toBe(42);
  });
});
