import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { ConfigError } from '../errors/setup-error.ts';

/**
 * The first bytes of files that users often pass instead of text in UTF-8, and what to do with such a file.
 */
const FOREIGN_BEGINNINGS: readonly (readonly [bytes: readonly number[], flaw: string])[] = [
  [[0xff, 0xfe], 'text in UTF-16: save it as UTF-8'],
  [[0xfe, 0xff], 'text in UTF-16: save it as UTF-8'],
  [[0x1f, 0x8b], 'data that is compressed with gzip: decompress it first, with gunzip'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'data that is compressed with zstd: decompress it first'],
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive, such as a spreadsheet is: save the text itself as a file'],
];

/**
 * encodingFlaw says why the beginning of a file is not text in UTF-8, and what to do; undefined: the file may
 * be such text. Text in UTF-16 without a byte order mark is recognized by its first or second byte, which is
 * 0 for ASCII.
 */
export function encodingFlaw(bytes: Uint8Array): string | undefined {
  const known = FOREIGN_BEGINNINGS.find(([begins]) => begins.every((byte, i) => bytes[i] === byte));
  if (known !== undefined) return `expected text in UTF-8, got ${known[1]}`;
  if (bytes[0] !== 0 && bytes[1] !== 0) return undefined;
  return 'expected text in UTF-8, got zero bytes, as in text in UTF-16: save it as UTF-8';
}

/**
 * textFrom decodes a whole text file, without the byte order mark that editors on Windows put at its
 * beginning.
 *
 * @throws {TypeError} with `expected …, got …` for bytes that are not text in UTF-8.
 */
export function textFrom(bytes: Uint8Array): string {
  const flaw = encodingFlaw(bytes);
  if (flaw !== undefined) throw new TypeError(flaw);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error: unknown) {
    throw new TypeError('expected text in UTF-8, got other bytes', { cause: error });
  }
}

/**
 * readEnvFile sets the variables of a `.env` file that the environment does not set. Node's own
 * `process.loadEnvFile` would read a byte order mark as part of the first name.
 *
 * @throws {ConfigError} when the file cannot be read as text.
 */
export function readEnvFile(path: string, environment: NodeJS.ProcessEnv = process.env): void {
  let text: string;
  try {
    text = textFrom(readFileSync(path));
  } catch (error: unknown) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ path, message }]);
  }
  // A file that was joined from two files may contain a second mark.
  const variables = parseEnv(text.replaceAll(/^\uFEFF/gm, '').replaceAll(/\r\n?/g, '\n'));
  for (const [name, value] of Object.entries(variables)) environment[name] ??= value;
}
