import type { z } from 'zod';
import { preview } from './preview.ts';
import { type Flaw, QueueError } from './problem.ts';

/**
 * checkedInput checks an input from outside.
 * @param subject the name of the input in the refusal: `request`, `query`.
 * @throws {QueueError} `invalid_request` with every flaw: what was expected, and what came.
 */
export function checkedInput<Output>(
  subject: string,
  input: unknown,
  schema: z.ZodType<Output> & { shape: object },
): Output {
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  const known = Object.keys(schema.shape);
  throw refusalOf(
    subject,
    parsed.error.issues.map((issue) => ({
      path: issue.path.map(String).join('.'),
      message: messageOf(issue, known),
    })),
  );
}

export function refusalOf(subject: string, flaws: readonly Flaw[]): QueueError {
  return new QueueError('invalid_request', refusalMessage(subject, flaws), { flaws });
}

/**
 * refusalMessage is the message of a refusal. @param subject the name of the refused input. A name in the
 * plural ends with an s: `options`.
 */
export function refusalMessage(subject: string, flaws: readonly Flaw[]): string {
  const list = flaws.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return `The ${subject} ${subject.endsWith('s') ? 'were' : 'was'} refused: ${list}`;
}

/** The most unknown fields that a refusal names, so that the refusal does not grow with the request. */
const MOST_NAMED = 5;

/** shown returns a value, shortened, for the text of a refusal. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(preview(value, 50));
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/**
 * The messages of our own rules say what was expected and what came. Zod's messages say what came only for a
 * wrong type.
 */
function messageOf(issue: z.core.$ZodIssue, known: readonly string[]): string {
  switch (issue.code) {
    case 'custom':
    case 'invalid_union':
    case 'invalid_format':
      return /, got /.test(issue.message) ? issue.message : `${issue.message}, got ${shown(issue.input)}`;
    case 'unrecognized_keys':
      return `expected ${known.length === 0 ? 'nothing' : `only ${known.join(', ')}`}, got ${named(issue.keys)}`;
    default:
      return `${issue.message.replace(/^[^:]+: /, '').replace(/, received .*$/, '')}, got ${shown(issue.input)}`;
  }
}

function named(keys: readonly string[]): string {
  const first = keys.slice(0, MOST_NAMED).map(shown).join(', ');
  return keys.length > MOST_NAMED ? `${first} and ${keys.length - MOST_NAMED} more` : first;
}
