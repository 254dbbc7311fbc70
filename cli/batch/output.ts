import { type FileHandle, open, stat, truncate } from 'node:fs/promises';
import { isAnswered } from './answer.ts';
import { BatchError, fileError } from './error.ts';
import { type BatchKey, keyOfOutput } from './key.ts';
import { linesOf } from './lines.ts';

/** What an output holds already. */
export interface OutputSurvey {
  /** How many lines of the input have their line here. */
  done: number;
  /** How many of these with an error. */
  failed: number;
  /** The batches that wrote here: none, or one. */
  batch: string | undefined;
  has(line: number): boolean;
  /** Whether the line was the same when it was asked. */
  agrees(key: Pick<BatchKey, 'line' | 'hash'>): boolean;
}

/** The key stands among the first characters, whether there was an error at the end: nothing else is looked at. */
const BEGINNING = 100;
const ENDING = 30;

/**
 * Reads what an earlier run has written, and cuts off a last line that it could not finish.
 *
 * @param lastLine of the input; four bytes are held for each line up to it.
 * @throws {BatchError} for a file that no batch has written, or another one.
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
          `${path} was expected to hold answers of this batch alone, but line ${number} is none: give another --out`,
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

/** Takes lines one after the other; `write` resolves when its line is in the file. */
export interface BatchOutput {
  /** @throws {BatchError} */
  write(line: string): Promise<void>;
  close(): Promise<void>;
}

/** @throws {BatchError} when it cannot be written to: before anything is asked. */
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
      // Whoever wrote has been told of the failure.
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
  if (found !== undefined && !found.isFile()) throw new BatchError(`${path} was expected to be a file`);
  return found !== undefined;
}

async function cut(path: string, bytes: number): Promise<void> {
  await truncate(path, bytes).catch((error: unknown) => {
    throw fileError(path, 'written', error);
  });
}

/** Never 0, which stands for no line at all. */
function shortHash(hash: string): number {
  return Number.parseInt(hash.slice(0, 8), 16) || 1;
}
