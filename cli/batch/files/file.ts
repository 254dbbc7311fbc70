import { type BigIntStats, createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { SetupError } from '../../../src/errors/setup-error.ts';
import { hasCode } from '../../../src/redis/embedded/process-identity.ts';

/**
 * BatchError says that a batch cannot begin or continue, because something is wrong with one of its files.
 */
export class BatchError extends SetupError {
  override readonly name = 'BatchError';
}

/** fileError names the file and what could not be done with it, and quotes the operating system's reason. */
export function fileError(file: string, what: string, error: unknown): BatchError {
  const reason = error instanceof Error ? error.message : String(error);
  return new BatchError(`${file} cannot be ${what}: ${reason}`, { cause: error });
}

/**
 * fileAt describes the file to which a path leads, also through links; undefined: there is none.
 *
 * @throws {BatchError} when it is a folder, a device or anything else that is no file.
 */
export async function fileAt(path: string): Promise<BigIntStats | undefined> {
  const found = await stat(path, { bigint: true }).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw fileError(path, 'read', error);
  });
  if (found?.isFile() === false) {
    throw new BatchError(`${path} was expected to be a file, got something else: choose another --out`);
  }
  return found;
}

/** isSameFile says whether two paths or handles lead to the same file. Links and hard links count. */
export function isSameFile(one: BigIntStats, other: BigIntStats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

export interface FileLine {
  /** The number of the line, from 1. */
  number: number;
  /** The line without its line end; undefined when it is longer than allowed. */
  bytes: Buffer | undefined;
  /** The offset in bytes at which the next line begins. */
  end: number;
  /** False when the file ends without a line end after this line. */
  ended: boolean;
}

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * linesOf reads a file of any size line by line, and holds one line in memory. It does not use Node's
 * readline for two reasons. readline also ends lines at U+2028, a character that JSON allows inside strings.
 * And it holds a line of any length in memory.
 */
export async function* linesOf(
  path: string,
  mostBytes = Number.POSITIVE_INFINITY,
  onChunk: (chunk: Buffer) => void = () => {},
): AsyncGenerator<FileLine, void, undefined> {
  let pieces: Buffer[] = [];
  let length = 0;
  let number = 1;
  let end = 0;
  const bytes = () => (length > mostBytes ? undefined : Buffer.concat(pieces));
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    onChunk(chunk);
    for (let from = 0; from < chunk.length; ) {
      const newline = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline);
      length += piece.length;
      if (length <= mostBytes) pieces.push(piece);
      else pieces = [];
      if (newline === -1) break;
      from = newline + 1;
      end += length + 1;
      yield { number, bytes: bytes(), end, ended: true };
      number += 1;
      pieces = [];
      length = 0;
    }
  }
  if (length > 0) yield { number, bytes: bytes(), end: end + length, ended: false };
}

/**
 * isBlank says whether a line has no text. It ignores a byte order mark on any line, because files that were
 * joined have several.
 */
export function isBlank({ bytes }: Pick<FileLine, 'bytes'>): boolean {
  if (bytes === undefined) return false;
  const marked = bytes.subarray(0, 3).equals(BYTE_ORDER_MARK);
  return (marked ? bytes.subarray(3) : bytes).every((byte) => byte === 32 || byte === 9 || byte === 13);
}
