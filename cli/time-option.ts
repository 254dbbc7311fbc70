import { InvalidArgumentError } from 'commander';

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** PAST_TIME_HELP and FUTURE_TIME_HELP say how an option writes a time. */
export const PAST_TIME_HELP =
  'a time such as 2026-03-01, 2026-03-01T12:00 (local) or 2h, which is two hours ago';
export const FUTURE_TIME_HELP =
  'a time such as 2026-03-01T12:00 (local), 2026-03-01T12:00:00Z or 2h from now';

/** pastTime parses an option that is a time until now. @returns it in ISO 8601. */
export function pastTime(text: string): string {
  return timeFrom(text, -1);
}

/** futureTime parses an option that is a time from now on. @returns it in ISO 8601. */
export function futureTime(text: string): string {
  return timeFrom(text, 1);
}

function timeFrom(text: string, direction: 1 | -1): string {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (unitMs !== undefined) return isoFrom(Date.now() + direction * Number(amount) * unitMs, text);
  // JavaScript reads a date without a time as UTC, but a time without a zone as local.
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  if (!isDate && !/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text)) throw refusal(text);
  return isoFrom(Date.parse(isDate ? `${text}T00:00` : text), text);
}

function isoFrom(ms: number, text: string): string {
  const time = new Date(ms);
  if (Number.isNaN(time.getTime())) throw refusal(text);
  return time.toISOString();
}

function refusal(text: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `Expected a time such as 2026-03-01T12:00, 2026-03-01T12:00:00Z or 2h, got "${text}".`,
  );
}
