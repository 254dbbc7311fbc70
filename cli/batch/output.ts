import { type FileHandle, open, stat, truncate } from 'node:fs/promises';
import { BatchError, fileError, linesOf } from './file.ts';
import { type BatchKey, keyOfOutput } from './key.ts';
import { isAnswered } from './output-line.ts';

/** OutputSurvey is what an output already holds. */
export interface OutputSurvey {
  /** The number of input lines that have their output line. */
  done: number;
  /** The number of these that have an error. */
  failed: number;
  /** The batch that wrote the output; undefined when the output is empty. */
  batch: string | undefined;
  has(line: number): boolean;
  /** Says whether the input line is still the one that the output answers. */
  agrees(key: Pick<BatchKey, 'line' | 'hash'>): boolean;
}

/**
 * The survey reads so many characters at the beginning of a line, for its key, and at its end, for its error.
 */
const BEGINNING = 100;
const ENDING = 30;

/**
 * surveyOutput reads what an earlier run has written, and cuts off a last line that was not written whole.
 *
 * @param lastLine the number of the last input line; the survey holds four bytes for each line up to it.
 * @throws {BatchError} when another program or another batch has written the file.
 */
export async function surveyOutput(path: string, lastLine: number): Promise<OutputSurvey> {
  const hashes = new Uint32Array(lastLine + 1);
  const survey = { done: 0, failed: 0, batch: undefined as string | undefined };
  if (await isFile(path)) {
    for await (const { number, bytes = Buffer.alloc(0), end, ended } of linesOf(path)) {
      if (!ended) {
        await cut(path, end - bytes.length);
        break;
      }
      const key = keyOfOutput(bytes.toString('latin1', 0, BEGINNING));
      survey.batch ??= key?.batch;
      if (key === undefined || key.batch !== survey.batch || key.line < 1 || key.line > lastLine) {
        throw new BatchError(
          `${path} was expected to hold only answers of this batch, but line ${number} is something ` +
            'else: choose another --out',
        );
      }
      if (hashes[key.line] !== 0) continue;
      hashes[key.line] = shortHash(key.hash);
      survey.done += 1;
      if (!isAnswered(bytes.toString('latin1', Math.max(0, bytes.length - ENDING)))) survey.failed += 1;
    }
  }
  return {
    ...survey,
    has: (line) => hashes[line] !== 0,
    agrees: ({ line, hash }) => hashes[line] === shortHash(hash),
  };
}

/** BatchOutput appends lines to the output, in the order of the calls. */
export interface BatchOutput {
  /** Resolves when the line is in the file. @throws {BatchError} when it cannot be written. */
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/** openOutput opens an output before any line is enqueued. @throws {BatchError} when it cannot be written. */
export async function openOutput(path: string): Promise<BatchOutput> {
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error: unknown) {
    throw fileError(path, 'written', error);
  }
  let queued: string[] = [];
  let writing: Promise<void> | undefined;
  const writeAll = async (): Promise<void> => {
    try {
      while (queued.length > 0) {
        const text = queued.map((line) => `${line}\n`).join('');
        queued = [];
        await file.appendFile(text);
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
    async close() {
      // The caller of `write` has already been told about a failure.
      await writing?.catch(() => {});
      await file.close();
    },
  };
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw fileError(path, 'read', error);
  });
  if (found !== undefined && !found.isFile()) {
    throw new BatchError(`${path} was expected to be a file, got something else: choose another --out`);
  }
  return found !== undefined;
}

async function cut(path: string, bytes: number): Promise<void> {
  await truncate(path, bytes).catch((error: unknown) => {
    throw fileError(path, 'written', error);
  });
}

/** shortHash is never 0, which means that a line has no output line. */
function shortHash(hash: string): number {
  return Number.parseInt(hash.slice(0, 8), 16) || 1;
}
