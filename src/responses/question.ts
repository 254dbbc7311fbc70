import { preview } from '../errors/preview.ts';
import { isJsonObject } from '../job/exact-json.ts';
import type { JobData, JobRequest } from '../job/request.ts';

/** questionPreview returns the first 100 characters of a job's question, for the board and the lists. */
export function questionPreview(work: JobRequest | JobData): string {
  return preview('request' in work ? questionOf(work.request.input) : work.question, 100);
}

/** questionIn returns the whole question in the data of a stored job; '' for data of another form. */
export function questionIn(data: unknown): string {
  if (!isJsonObject(data)) return '';
  const { question, request } = data;
  if (typeof question === 'string') return question;
  return isJsonObject(request) ? questionOf(request['input']) : '';
}

/**
 * questionOf finds the last message of the user in a Responses API input: what a person looks for on the
 * board.
 */
function questionOf(input: unknown): string {
  if (typeof input === 'string') return input;
  if (!Array.isArray(input)) return '(prompt template)';
  for (const item of input.toReversed()) {
    if (!isJsonObject(item) || (item['role'] ?? 'user') !== 'user') continue;
    if (typeof item['content'] === 'string') return item['content'];
    if (Array.isArray(item['content'])) {
      const texts = item['content'].filter(isJsonObject).map((part) => part['text']);
      const text = texts.filter((part) => typeof part === 'string').join(' ');
      if (text !== '') return text;
    }
  }
  return '(no text)';
}
