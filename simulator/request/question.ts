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
