import { type FileHandle, open, stat } from 'node:fs/promises';
import { BatchError, fileAt, fileError, isSameFile, linesOf } from './file.ts';
import { type BatchKey, isBeginningOfOutput, keyOfOutput } from './key.ts';
import { isAnswered } from './output-line.ts';

/** OutputSurvey is what an output already holds. */
export interface OutputSurvey {
  /** The number of input lines that have their output line. */
  done: number;
  /** How many of the output lines have an error. */
  failed: number;
  /** The batch that wrote the output; undefined when the output is absent or empty. */
  batch: string | undefined;
  /** The size of the file in bytes; undefined: there is no file. */
  size: number | undefined;
  /**
   * The size of the file's whole lines in bytes. It is less than `size` when a run was killed while it wrote
   * a line.
   */
  wholeBytes: number;
  has(line: number): boolean;
  /** Says whether the input line is still the one that the output answers. */
  agrees(key: Pick<BatchKey, 'line' | 'hash'>): boolean;
}

/**
 * How many characters the survey reads: at the beginning of a line for its key, and at its end for its error.
 */
const BEGINNING = 100;
const ENDING = 30;

/**
 * surveyOutput reads what an earlier run has written, and changes nothing.
 *
 * @param lastLine the number of the last input line; the survey holds four bytes for each line up to it.
 * @throws {BatchError} when another program or another batch has written the file.
 */
export async function surveyOutput(path: string, lastLine: number): Promise<OutputSurvey> {
  const hashes = new Uint32Array(lastLine + 1);
  const survey = { done: 0, failed: 0, batch: undefined as string | undefined, wholeBytes: 0 };
  const found = await fileAt(path);
  const size = found && Number(found.size);
  const lines = size === undefined ? [] : linesOf(path);
  for await (const { number, bytes = Buffer.alloc(0), end, ended } of lines) {
    const beginning = bytes.toString('latin1', 0, BEGINNING);
    const key = keyOfOutput(beginning);
    survey.batch ??= key?.batch;
    const isOurs =
      key === undefined
        ? !ended && isBeginningOfOutput(beginning)
        : key.batch === survey.batch && key.line >= 1 && key.line <= lastLine;
    if (!isOurs) {
      throw new BatchError(
        `${path} was expected to be absent, empty or the answers of this batch, but line ${number} is ` +
          'something else: choose another --out',
      );
    }
    if (!ended) break;
    survey.wholeBytes = end;
    if (key === undefined || hashes[key.line] !== 0) continue;
    hashes[key.line] = shortHash(key.hash);
    survey.done += 1;
    if (!isAnswered(bytes.toString('latin1', Math.max(0, bytes.length - ENDING)))) survey.failed += 1;
  }
  return {
    ...survey,
    size,
    has: (line) => hashes[line] !== 0,
    agrees: ({ line, hash }) => hashes[line] === shortHash(hash),
  };
}

/** BatchOutput appends lines to the output, in the order of the calls. */
export interface BatchOutput {
  /** Resolves when the line is in the file. @throws {BatchError} when it cannot be written. */
  write(line: string): Promise<void>;
  /**
   * Checks that the path still leads to our file, and that the file has everything that was written.
   *
   * @throws {BatchError} when another program has moved, deleted, replaced or changed the file.
   */
  requireWhole(): Promise<void>;
  close(): Promise<void>;
}

/**
 * openOutput opens an output before any line is enqueued, and cuts off a last line that was not written
 * whole. It never empties a file, so what another program writes meanwhile stays.
 *
 * @throws {BatchError} when it cannot be written, or has changed since the survey.
 */
export async function openOutput(path: string, { size, wholeBytes }: OutputSurvey): Promise<BatchOutput> {
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error: unknown) {
    throw fileError(path, 'written', error);
  }
  try {
    const now = await file.stat();
    if (now.size !== (size ?? 0)) throw new BatchError(`${path} has just been changed by another program`);
    if (wholeBytes < now.size) await file.truncate(wholeBytes);
  } catch (error: unknown) {
    await file.close();
    throw error instanceof BatchError ? error : fileError(path, 'written', error);
  }
  let queued: string[] = [];
  let writing: Promise<void> | undefined;
  let expectedBytes = wholeBytes;
  const writeAll = async (): Promise<void> => {
    try {
      while (queued.length > 0) {
        const text = queued.map((line) => `${line}\n`).join('');
        queued = [];
        await file.appendFile(text);
        expectedBytes += Buffer.byteLength(text);
      }
    } catch (error: unknown) {
      throw fileError(path, 'written', error);
    } finally {
      writing = undefined;
    }
  };
  return {
    write(line) {
      queued.push(line);
      writing ??= writeAll();
      return writing;
    },
    async requireWhole() {
      const written = await file.stat({ bigint: true });
      const there = await stat(path, { bigint: true }).catch(() => undefined);
      if (there !== undefined && isSameFile(there, written) && there.size === BigInt(expectedBytes)) return;
      throw new BatchError(
        `${path} was moved, deleted or changed by another program during the batch: run the same command again; it ` +
          'fetches the missing answers from the instance and asks no question twice',
      );
    },
    async close() {
      // The caller of `write` has already been told about a failure.
      await writing?.catch(() => {});
      await file.close();
    },
  };
}

/**
 * shortHash returns a part of a hash as a number. It is never 0, because 0 means that the line has no output
 * line.
 */
function shortHash(hash: string): number {
  return Number.parseInt(hash.slice(0, 8), 16) || 1;
}
