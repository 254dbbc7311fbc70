import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { encodingFlaw } from '../../../src/config/text-file.ts';
import { preview } from '../../../src/errors/preview.ts';
import { stringifyExact } from '../../../src/job/exact-json.ts';
import { BatchError, type FileLine, fileError, isBlank, linesOf } from './file.ts';
import { customIdOf } from './input-line.ts';

const LONGEST_LINE_BYTES = 50 * 1024 * 1024;

/** InputSurvey is what the batch learns by reading the whole input once. */
export interface InputSurvey {
  /** The hash of all bytes of the input. */
  sha256: string;
  /** The number of lines that are not blank. Each gets an answer. */
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

/**
 * surveyInput reads an input from end to end.
 *
 * @throws {BatchError} when it is not a readable file, not JSON Lines in UTF-8, or has the same `custom_id`
 * twice, so that no one could tell the two answers apart.
 */
export async function surveyInput(path: string): Promise<InputSurvey> {
  if (path === '-') throw notAFile('-');
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(path, 'read', error);
  });
  if (!found.isFile()) throw notAFile(path);
  const hash = createHash('sha256');
  const customIds = new Map<string, number>();
  let chunks = 0;
  let questions = 0;
  let lastLine = 0;
  const onChunk = (chunk: Buffer): void => {
    const flaw = chunks === 0 ? encodingFlaw(chunk) : undefined;
    if (flaw !== undefined) throw new BatchError(`${path}: ${flaw}`);
    chunks += 1;
    hash.update(chunk);
  };
  try {
    for await (const line of linesOf(path, LONGEST_LINE_BYTES, onChunk)) {
      lastLine = line.number;
      if (isBlank(line)) continue;
      questions += 1;
      if (questions === 1) requireJsonLines(path, line);
      requireNewCustomId(path, line, customIds);
    }
  } catch (error: unknown) {
    throw error instanceof BatchError ? error : fileError(path, 'read', error);
  }
  return { sha256: hash.digest('hex'), questions, lastLine };
}

/** The input must be a file, because it is read twice in each run, and again when the batch continues. */
function notAFile(path: string): BatchError {
  return new BatchError(
    `${path} was expected to be a file, got something else: a batch reads its input more than once, so save ` +
      'it to a file first',
  );
}

function requireJsonLines(path: string, { bytes = Buffer.alloc(0) }: FileLine): void {
  const text = new TextDecoder().decode(bytes.subarray(0, 100)).trim();
  if (!text.startsWith('[') && text !== '{') return;
  throw new BatchError(
    `${path}: expected JSON Lines, one question on each line, got one JSON ${text === '{' ? 'object' : 'array'} ` +
      `over all lines: convert it first, for example with jq -c ${text === '{' ? '.' : "'.[]'"} ${path}`,
  );
}

/** @param known the line number of each custom_id, by the 96-bit hash of its JSON. */
function requireNewCustomId(path: string, { number, bytes }: FileLine, known: Map<string, number>): void {
  // A line that is not JSON is refused later; the other lines are still enqueued.
  const customId = bytes?.includes('"custom_id"') === true ? customIdOf(bytes) : undefined;
  if (customId === undefined || customId === null) return;
  const text = stringifyExact(customId);
  const hash = createHash('sha256').update(text).digest().toString('base64', 0, 12);
  const earlier = known.get(hash);
  if (earlier !== undefined) {
    throw new BatchError(
      `${path}: expected another custom_id on each line, got ${preview(text, 100)} on line ${earlier} and on ` +
        `line ${number}`,
    );
  }
  known.set(hash, number);
}
