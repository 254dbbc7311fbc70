import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { BatchError, fileError } from './error.ts';
import { type FileLine, isBlank, linesOf } from './lines.ts';

const LONGEST_LINE_BYTES = 10 * 1024 * 1024;

/** What is known of an input once it has been read through. */
export interface InputSurvey {
  /** Of all its bytes. */
  sha256: string;
  /** Lines that are not blank: so many answers there will be. */
  questions: number;
  /** The number of the last line. */
  lastLine: number;
}

/** Lines that are not blank. */
export async function* questionLines(path: string): AsyncGenerator<FileLine, void, undefined> {
  for await (const line of linesOf(path, LONGEST_LINE_BYTES)) if (!isBlank(line)) yield line;
}

/** @throws {BatchError} for what is no file that can be read. */
export async function surveyInput(path: string): Promise<InputSurvey> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(path, 'read', error);
  });
  // It is read twice now, and again by whoever goes on with the batch.
  if (!found.isFile())
    throw new BatchError(`${path} was expected to be a file: a pipe can be read only once`);
  const hash = createHash('sha256');
  let questions = 0;
  let lastLine = 0;
  try {
    for await (const line of linesOf(path, LONGEST_LINE_BYTES, (chunk) => hash.update(chunk))) {
      if (!isBlank(line)) questions += 1;
      lastLine = line.number;
    }
  } catch (error: unknown) {
    throw fileError(path, 'read', error);
  }
  return { sha256: hash.digest('hex'), questions, lastLine };
}
