import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readConfigFile } from '../../../src/config/file.ts';
import { encodingFlaw, readEnvFile, textFrom } from '../../../src/config/text-file.ts';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'o3q-text-'));
  file = join(folder, 'file');
});
afterEach(() => rmSync(folder, { recursive: true }));

const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();
const FOREIGN: [name: string, bytes: Uint8Array, words: RegExp][] = [
  [
    'UTF-16 with a byte order mark',
    Buffer.from('\ufeff{}', 'utf16le'),
    /got text in UTF-16: save it as UTF-8/,
  ],
  ['UTF-16 of the other order', utf16be('\ufeff{}'), /got text in UTF-16/],
  ['UTF-16 without a mark', Buffer.from('{}', 'utf16le'), /zero bytes, as in text in UTF-16/],
  ['UTF-16 of the other order without a mark', utf16be('{}'), /zero bytes/],
  ['gzip', gzipSync('{}'), /compressed with gzip: decompress it first/],
  ['zstd', Buffer.from('28b52ffd00', 'hex'), /compressed with zstd/],
  ['a zip archive', Buffer.from('504b0304', 'hex'), /a zip archive/],
];

it.each(FOREIGN)('encodingFlaw names %s', (_name, bytes, words) => {
  expect(encodingFlaw(bytes)).toMatch(words);
  expect(() => textFrom(bytes)).toThrow(words);
});

it.each(['', '{', '{}', '\ufeff{}', '\ufeff', 'ä', 'P', 'PK'])(
  'textFrom decodes %j, without its mark',
  (text) => {
    expect(encodingFlaw(Buffer.from(text))).toBeUndefined();
    expect(textFrom(Buffer.from(text))).toBe(text.replace('\ufeff', ''));
  },
);

it('textFrom refuses bytes that are not UTF-8', () => {
  expect(() => textFrom(Buffer.from([0x7b, 0xff, 0x7d]))).toThrow('expected text in UTF-8, got other bytes');
});

describe('readEnvFile', () => {
  const variables = (content: string | Uint8Array, environment: NodeJS.ProcessEnv = {}) => {
    writeFileSync(file, content);
    readEnvFile(file, environment);
    return environment;
  };

  it('reads a file from Windows as it reads any other', () => {
    const text = '# ours\nO3Q_URL=http://127.0.0.1:3001\nO3Q_KEYS="anna:one" # hers\n\nPORT = 3001\n';
    const expected = { O3Q_URL: 'http://127.0.0.1:3001', O3Q_KEYS: 'anna:one', PORT: '3001' };
    expect(variables(text)).toEqual(expected);
    expect(variables(`\ufeff${text.replaceAll('\n', '\r\n')}`)).toEqual(expected);
    expect(variables('\ufeffPORT=3001\r\n\ufeffHOST=::\r\n')).toEqual({ PORT: '3001', HOST: '::' });
  });

  it('lets the environment win', () => {
    expect(variables('\ufeffPORT=3001', { PORT: '' })).toEqual({ PORT: '' });
  });

  it.each(FOREIGN)('refuses %s in one sentence', (_name, bytes, words) => {
    expect(() => variables(bytes)).toThrow(words);
  });
});

describe('the configuration', () => {
  const read = (content: string | Uint8Array) => {
    writeFileSync(file, content);
    return readConfigFile(file);
  };

  it('may come from Windows', () => {
    expect(read('\ufeff{\r\n  "models": { "windows": {} }\r\n}\r\n')).toMatchObject({
      defaultModel: 'windows',
    });
  });

  it.each([...FOREIGN, ['an array', Buffer.from('\ufeff[{}]'), /\(top\): expected object/] as const])(
    'is refused in one sentence when it is %s',
    (_name, bytes, words) => {
      expect(read(bytes)).toEqual({
        flaws: [{ path: expect.any(String), message: expect.any(String) }],
      });
      const [flaw] = (read(bytes) as { flaws: { path: string; message: string }[] }).flaws;
      expect(`${flaw?.path}: ${flaw?.message}`).toMatch(words);
    },
  );
});
