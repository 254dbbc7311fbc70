import { createRequire } from 'node:module';
import type * as Chrono from 'chrono-node/en';
import { InvalidArgumentError, Option } from 'commander';
import { distanceText } from '../src/client/quantity.ts';
import { ON_LATE } from '../src/job/fields/times.ts';

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** PAST_TIME_HELP and FUTURE_TIME_HELP say how an option writes a time. */
export const PAST_TIME_HELP =
  'a time such as 2026-03-01, "yesterday 8:00" (local) or 2h, which is two hours ago';
export const FUTURE_TIME_HELP =
  'a time such as 8am, "friday 17:00", 2027-01-31T12:00 (local) or 12h, which is twelve hours from now';

type Direction = 'past' | 'future';

/** pastTime parses an option that is a time until now. @returns it in ISO 8601. */
export function pastTime(text: string): string {
  return timeIn(text, 'past', new Date()).toISOString();
}

/** futureTime parses an option that is a time from now on. @returns it in ISO 8601. */
export function futureTime(text: string): string {
  const now = new Date();
  const time = timeIn(text, 'future', now);
  const flaw = pastFlaw(time, text, now);
  if (flaw !== undefined) throw new InvalidArgumentError(flaw);
  return time.toISOString();
}

/** pastFlaw says that a time should have been in the future; undefined: it is. */
export function pastFlaw(time: Date, text: string, now: Date): string | undefined {
  if (time > now) return undefined;
  const ago = distanceText(time.toISOString(), now.getTime());
  return `Expected a time in the future, got "${text}", which was ${localTime(time)} (${ago}).`;
}

/**
 * timeIn reads a time: a duration, an ISO 8601 time or day, or English words. A time without a zone is local.
 * A day without a time begins at midnight. A time of day, a weekday or a day without its year is the next one
 * in the future, and the last one in the past.
 *
 * @returns a time that may be in the past, such as `yesterday`, whatever the direction.
 * @throws {InvalidArgumentError}
 */
export function timeIn(text: string, direction: Direction, now: Date): Date {
  const time = durationFrom(text, direction, now) ?? isoTime(text) ?? timeInWords(text, direction, now);
  if (time === undefined || Number.isNaN(time.getTime())) {
    const [day, words] =
      direction === 'past' ? ['2026-03-01', 'yesterday 8:00'] : ['2027-01-31', 'friday 17:00'];
    throw new InvalidArgumentError(
      `Expected a time such as ${day}T12:00, ${day}T12:00:00Z, 2h or "${words}", got "${text}".`,
    );
  }
  return time;
}

/** localTime writes a time on this machine's clock, with its zone: `2026-11-30 08:00 CET`. */
export function localTime(time: Date): string {
  const part = (value: number): string => String(value).padStart(2, '0');
  const day = [time.getFullYear(), part(time.getMonth() + 1), part(time.getDate())].join('-');
  return `${day} ${part(time.getHours())}:${part(time.getMinutes())} ${zoneOf(time)}`;
}

/** neededByText says when an answer is needed: `needed by 2026-11-30 08:00 CET (in 15h 20m)`. */
export function neededByText(time: string, now = Date.now()): string {
  return `needed by ${localTime(new Date(time))} (${distanceText(time, now)})`;
}

/** byOption makes the option that says when an answer is needed. */
export function byOption(parse: (text: string) => unknown = futureTime): Option {
  return new Option(
    '--by <time>',
    `when the answer is needed; the later, the less it may cost: ${FUTURE_TIME_HELP}`,
  ).argParser(parse);
}

/** onLateOption makes the option that says what to do when the answer is late. */
export function onLateOption(): Option {
  return new Option(
    '--on-late <act>',
    'without an answer at --by: wait on (the default), or cancel what was bought for less and buy again',
  ).choices(ON_LATE);
}

/** American English has names for the zones of America, British English for those of Europe. */
function zoneOf(time: Date): string {
  const names = ['en-US', 'en-GB'].map((locale) => {
    const format = new Intl.DateTimeFormat(locale, { timeZoneName: 'short' });
    return format.formatToParts(time).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  });
  return names.find((name) => /^[A-Z]+$/.test(name)) ?? names[0] ?? '';
}

function durationFrom(text: string, direction: Direction, now: Date): Date | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (unitMs === undefined) return undefined;
  return new Date(now.getTime() + (direction === 'past' ? -1 : 1) * Number(amount) * unitMs);
}

/**
 * JavaScript reads a date without a time as UTC, but a time without a zone as local. It also reads February 30
 * as March 2.
 */
function isoTime(text: string): Date | undefined {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})/.exec(text) ?? [];
  if (new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() !== Number(day))
    return undefined;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return new Date(`${text}T00:00`);
  return /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}[^ ]*$/.test(text) ? new Date(text) : undefined;
}

/** Numbers that are a day to an American and another to a European, and a minus. */
const AMBIGUOUS = /^-|\d\/\d|\d\.\d+\./;
const PART_OF_DAY = /^casualReference\/(?:tonight|morning|afternoon|evening|noon|midnight)$/;

function timeInWords(text: string, direction: Direction, now: Date): Date | undefined {
  if (AMBIGUOUS.test(text)) return undefined;
  const { casual } = loadChrono();
  const [found, ...others] = casual.parse(text, now, { forwardDate: direction === 'future' });
  // Chrono finds times in any text. What it leaves out may be what the user meant.
  if (found === undefined || others.length > 0 || found.end || found.text !== text.trim()) return undefined;
  const { start } = found;
  const time = start.date();
  const tags = [...found.tags()];
  if (tags.includes('result/relativeDate')) return time;
  const hasDay = start.isCertain('day') || start.isCertain('weekday');
  if (!start.isCertain('hour') && !tags.some((tag) => PART_OF_DAY.test(tag))) {
    if (!hasDay) return undefined;
    time.setHours(0, 0, 0, 0);
  }
  if (direction === 'future') {
    // Chrono knows no such thing as the last Friday when it looks forward.
    if (/\blast\b/.test(text)) return timeInWords(text, 'past', now);
    if (time <= now && !hasDay) time.setDate(time.getDate() + 1);
  } else if (time > now && !/\bnext\b/.test(text)) {
    if (!hasDay) time.setDate(time.getDate() - 1);
    else if (!start.isCertain('day')) time.setDate(time.getDate() - 7);
    else if (!start.isCertain('year')) time.setFullYear(time.getFullYear() - 1);
  }
  return time;
}

/** Loading chrono takes 0.1 s, which only an option with words is to cost. */
function loadChrono(): typeof Chrono {
  return createRequire(import.meta.url)('chrono-node/en') as typeof Chrono;
}
