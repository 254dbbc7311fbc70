import type { CreateRequest } from './create-request.ts';
import { isObject } from './json.ts';

/** What an `answer` function is told. */
export type Question = {
  readonly model: string;
  /** The text of the last user message. */
  readonly text: string;
  readonly thinkMs: number;
  /** The body of the create request, as received. */
  readonly body: Readonly<Record<string, unknown>>;
};

/** The last user message is the question; what comes before it is history. */
export function questionText(input: unknown): string {
  if (typeof input === 'string') return input;
  if (!Array.isArray(input)) return '';
  const last = input.findLast((item) => isObject(item) && (item['role'] === 'user' || 'output' in item));
  if (!isObject(last)) return '';
  return contentText(last['content'] ?? last['output']);
}

function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

const CHARACTERS_PER_TOKEN = 4;
/** What the chat format itself costs, roughly. */
const MESSAGE_OVERHEAD_TOKENS = 7;

/** An estimate: four characters a token over everything the model would read. */
export function countInputTokens(body: CreateRequest['body']): number {
  const read = [body['input'], body['instructions'], body['tools']];
  const characters = read.reduce<number>((sum, part) => sum + lengthOf(part), 0);
  return MESSAGE_OVERHEAD_TOKENS + Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

function lengthOf(part: unknown): number {
  if (part === undefined || part === null) return 0;
  return typeof part === 'string' ? part.length : JSON.stringify(part).length;
}
