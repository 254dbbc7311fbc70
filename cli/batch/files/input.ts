import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { BatchError, type FileLine, fileError, isBlank, linesOf } from './file.ts';

const LONGEST_LINE_BYTES = 10 * 1024 * 1024;

/** InputSurvey is what one reading of the whole input tells. */
export interface InputSurvey {
  /** The hash of all its bytes. */
  sha256: string;
  /** The number of lines that are not blank, which is the number of answers there will be. */
  questions: number;
  /** The number of the last line. */
  lastLine: number;
}

/** questionLines yields the lines of an input that are not blank. */
export async function* questionLines(
  path: string,
  onChunk?: (chunk: Buffer) => void,
): AsyncGenerator<FileLine, void, undefined> {
  for await (const line of linesOf(path, LONGEST_LINE_BYTES, onChunk)) if (!isBlank(line)) yield line;
}

/** surveyInput reads an input from end to end. @throws {BatchError} when it is not a readable file. */
export async function surveyInput(path: string): Promise<InputSurvey> {
  if (path === '-') throw notAFile('-');
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(path, 'read', error);
  });
  if (!found.isFile()) throw notAFile(path);
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

/** The input is read twice in each run, and again when the batch continues. */
function notAFile(path: string): BatchError {
  return new BatchError(
    `${path} was expected to be a file, got something else: a batch reads its input more than once, so save ` +
      'it to a file first',
  );
}
