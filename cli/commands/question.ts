import { readFile } from 'node:fs/promises';
import { UsageError } from '../exit-code.ts';

export interface QuestionSource {
  /** The words themselves; `-` or undefined: stdin. */
  question: string | undefined;
  /** The path of a file; `-`: stdin. */
  context: string | undefined;
}

export interface Input extends AsyncIterable<Buffer | string> {
  /** A person at the keyboard would not know that something is expected of them. */
  readonly isTTY?: boolean;
}

/** The question and its context, from wherever they are. @throws {UsageError} */
export async function readQuestion(
  source: QuestionSource,
  input: Input,
): Promise<{ question: string; context?: string }> {
  const questionFromInput = source.question === undefined || source.question === '-';
  if (questionFromInput && source.context === '-') {
    throw new UsageError('stdin can be the question or the context (--context -), not both');
  }
  if (source.question === undefined && input.isTTY === true) {
    throw new UsageError('expected a question: o3q ask "Why is the sky blue?", or pipe one in');
  }
  const question = questionFromInput
    ? utf8From(await bytesOf(input), 'stdin').trimEnd()
    : (source.question ?? '');
  if (question.trim() === '') {
    throw new UsageError(`expected a question, got an empty ${questionFromInput ? 'stdin' : 'text'}`);
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

/** A picture or a UTF-16 file would be enqueued as nonsense that costs money. */
function utf8From(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`expected text in UTF-8, got other bytes from ${source}`);
  }
}
