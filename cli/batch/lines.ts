import { createReadStream } from 'node:fs';

export interface FileLine {
  /** 1-based. */
  number: number;
  /** Without its end; undefined: it is longer than allowed. */
  bytes: Buffer | undefined;
  /** Where the next one begins. */
  end: number;
  /** False: the file ends in the middle of it. */
  ended: boolean;
}

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * The lines of a file of any size, in as much memory as one of them takes. Not Node's readline: it ends lines at U+2028 too, which
 * JSON has inside of strings, and holds a line however long it is.
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

export function isBlank({ number, bytes }: FileLine): boolean {
  if (bytes === undefined) return false;
  const marked = number === 1 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK);
  return (marked ? bytes.subarray(3) : bytes).every((byte) => byte === 32 || byte === 9 || byte === 13);
}
