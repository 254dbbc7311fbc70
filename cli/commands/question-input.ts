import { readFile } from 'node:fs/promises';
import { textFrom } from '../../src/config/text-file.ts';
import { UsageError } from '../exit-code.ts';

export interface QuestionSource {
  /** The text of the question; `-` or undefined: stdin. */
  question: string | undefined;
  /** The path of a file; `-`: stdin. */
  context: string | undefined;
}

export interface Input extends AsyncIterable<Buffer | string> {
  /**
   * True when stdin is a keyboard: a missing question is then an error, instead of a silent wait for input.
   */
  readonly isTTY?: boolean;
}

/**
 * readQuestion reads the question and its context from the command line, a file or stdin.
 *
 * @throws {UsageError}
 */
export async function readQuestion(
  source: QuestionSource,
  input: Input,
): Promise<{ question: string; context?: string }> {
  const questionFromInput = source.question === undefined || source.question === '-';
  if (questionFromInput && source.context === '-') {
    throw new UsageError('expected stdin to be the question or the context (--context -), got both');
  }
  if (source.question === undefined && input.isTTY === true) {
    throw new UsageError(
      'expected a question, got none: o3q ask "Why is the sky blue?", or pipe one to stdin',
    );
  }
  const question = questionFromInput
    ? utf8From(await bytesOf(input), 'stdin').trimEnd()
    : (source.question ?? '');
  if (question.trim() === '') {
    throw new UsageError(`expected a question, got an empty ${questionFromInput ? 'stdin' : 'argument'}`);
  }
  const context = await readContext(source.context, input);
  return { question, ...(context !== undefined && { context }) };
}

async function readContext(path: string | undefined, input: Input): Promise<string | undefined> {
  if (path === undefined) return undefined;
  if (path === '-') return utf8From(await bytesOf(input), 'stdin');
  try {
    return utf8From(await readFile(path), path);
  } catch (error: unknown) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `--context: ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function bytesOf(input: Input): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of input) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/**
 * utf8From refuses bytes that are not UTF-8. Otherwise an image or a UTF-16 file would be enqueued as
 * expensive nonsense.
 */
function utf8From(bytes: Uint8Array, source: string): string {
  try {
    return textFrom(bytes);
  } catch (error: unknown) {
    throw new UsageError(`${source}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
