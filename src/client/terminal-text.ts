import { type JobStatus, type PlanStatus, STATUS_TABLE } from '../job/job.ts';

/**
 * Characters that are removed: escape sequences could move the cursor, change the window's title or fake
 * output, and direction marks could reorder a line. The functions below handle tabs and line ends. The
 * joiner characters that emoji and some scripts need are kept.
 */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const ICONS: Record<PlanStatus, string> = {
  pending: '⏳',
  running: '🔄',
  completed: '✅',
  error: '❌',
  cancelled: '🚫',
};

export function iconOf(status: JobStatus): string {
  return ICONS[STATUS_TABLE[status].plan];
}

/**
 * oneLine makes any text one line that a terminal shows without obeying its escape sequences.
 */
export function oneLine(text: string): string {
  return text.replace(/\s+/gu, ' ').replace(UNPRINTABLE, '').trim();
}

/**
 * printableJson writes a value as JSON. It escapes characters that a terminal would obey and that JSON
 * allows, so that a reader of the JSON gets the same value.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNPRINTABLE, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** printable makes a text safe as oneLine does, and keeps its lines and its indentation. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    character === '\n' || character === '\t' ? character : '',
  );
}
