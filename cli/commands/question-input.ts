import { readFile } from 'node:fs/promises';
import { textFrom } from '../../src/config/text-file.ts';
import { isJsonObject, parseExact } from '../../src/job/exact-json.ts';
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

/** Work is what a job is about: a question, or a body of the Responses API. */
export type Work = { question: string; context?: string } | { request: Record<string, unknown> };

/** The options that belong to a question. A body of the Responses API has its own fields for them. */
const QUESTION_OPTIONS = ['context', 'instructions', 'reasoningEffort', 'maxOutputTokens'] as const;

/**
 * readRequest reads a body of the Responses API from a file or stdin, and adds metadata to its own.
 *
 * @throws {UsageError} also when there is a question besides.
 */
export async function readRequest(
  path: string,
  question: string | undefined,
  options: { [Name in (typeof QUESTION_OPTIONS)[number]]?: unknown } & { metadata?: Record<string, string> },
  input: Input,
): Promise<Work> {
  if (question !== undefined) throw new UsageError('expected a question or --request, got both');
  for (const name of QUESTION_OPTIONS) {
    if (options[name] === undefined) continue;
    const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`--${option} belongs to a question: write its value into the body of --request`);
  }
  const text = await textOf('--request', path, input);
  const request = jsonObjectFrom(text, path === '-' ? 'stdin' : path);
  const { metadata } = request;
  if (options.metadata === undefined) return { request };
  return {
    request: { ...request, metadata: { ...(isJsonObject(metadata) && metadata), ...options.metadata } },
  };
}

function jsonObjectFrom(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseExact(text);
  } catch (error: unknown) {
    throw new UsageError(
      `--request: ${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (isJsonObject(value)) return value;
  throw new UsageError(`--request: ${path} was expected to be a JSON object`);
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
  return path === undefined ? undefined : textOf('--context', path, input);
}

async function textOf(option: string, path: string, input: Input): Promise<string> {
  if (path === '-') return utf8From(await bytesOf(input), 'stdin');
  try {
    return utf8From(await readFile(path), path);
  } catch (error: unknown) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `${option}: ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
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
