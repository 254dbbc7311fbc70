import { type JobStatus, type PlanStatus, STATUS_TABLE } from '../job/job.ts';

/**
 * Escape sequences could move the cursor, retitle the window or fake output; direction marks could reorder a
 * line. Tabs and line ends are left to the two functions below. The joiner characters that emoji and some
 * scripts need are kept.
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
 * printableJson writes a value as JSON. It escapes what a terminal would obey and JSON leaves as it is, so that a
 * reader of the JSON gets the same value.
 */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNPRINTABLE, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** printable does the same for a text that keeps its lines and its indentation. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) =>
    character === '\n' || character === '\t' ? character : '',
  );
}
