import randexp from 'randexp';
import type { JsonObject } from '../api/json.ts';
import { randomNumbers } from '../api/random-numbers.ts';

/** The types of the package describe a module with a default export. At run time the module is the class. */
const RandExp = randexp as unknown as typeof randexp.default;

/** The formats that OpenAI documents for structured outputs, and two that other servers know. */
const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T12:00:00Z',
  date: '2026-01-01',
  time: '12:00:00Z',
  duration: 'P1D',
  email: 'simulated@example.com',
  hostname: 'simulated.example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uuid: '00000000-0000-4000-8000-000000000000',
  uri: 'https://example.com/simulated',
  'uri-reference': '/simulated',
};

const WORD = 'simulated';
/** The caller chooses the lengths, so they are bounded. */
const MAX_LENGTH = 100_000;
/** How many strings the simulator tries for a pattern. The first has the least length. */
const PATTERN_TRIES = 100;

/**
 * sampleString returns a string that satisfies `format`, `pattern`, `minLength` and `maxLength` of a schema.
 * It always returns the same string for the same schema. undefined: it found no such string.
 */
export function sampleString(schema: JsonObject): string | undefined {
  const pattern = patternOf(schema['pattern']);
  if (pattern === 'unreadable') return undefined;
  const least = lengthOf(schema['minLength']) ?? 0;
  const most = lengthOf(schema['maxLength']) ?? Number.POSITIVE_INFINITY;
  if (least > Math.min(most, MAX_LENGTH)) return undefined;
  const fits = (text: string): boolean => {
    const { length } = [...text];
    return length >= least && length <= most && (pattern?.test(text) ?? true);
  };
  const format = FORMATS[String(schema['format'])];
  if (format !== undefined && fits(format)) return format;
  const word = WORD.repeat(Math.max(1, Math.ceil(least / WORD.length))).slice(
    0,
    Math.max(least, WORD.length),
  );
  const fitted = word.slice(0, most);
  if (format === undefined && fits(fitted)) return fitted;
  return pattern && firstMatch(pattern, least, fits);
}

/** matchOf returns a string that matches a regular expression; undefined: it found none. */
export function matchOf(source: string): string | undefined {
  const pattern = patternOf(source);
  return pattern instanceof RegExp ? firstMatch(pattern, 0, (text) => pattern.test(text)) : undefined;
}

/** JSON Schema reads a pattern as Unicode. Some callers send one that is valid only without. */
function patternOf(source: unknown): RegExp | undefined | 'unreadable' {
  if (typeof source !== 'string') return undefined;
  if (repetitionsOf(source) > MAX_LENGTH) return 'unreadable';
  for (const flags of ['u', '']) {
    try {
      return new RegExp(source, flags);
    } catch {
      // tried without Unicode next
    }
  }
  return 'unreadable';
}

/** repetitionsOf returns how often a part of the pattern may have to be repeated: a bound on its length. */
function repetitionsOf(source: string): number {
  return [...source.matchAll(/\{(\d+)/g)].reduce(
    (product, [, count]) => product * Math.max(1, Number(count)),
    1,
  );
}

/**
 * firstMatch makes strings from a pattern until one fits. randexp ignores lookarounds, word borders and
 * Unicode classes, and makes ASCII characters only, so `fits` has to check the pattern too.
 */
function firstMatch(pattern: RegExp, least: number, fits: (text: string) => boolean): string | undefined {
  for (let index = 0; index < PATTERN_TRIES; index += 1) {
    const generator = new RandExp(pattern);
    // In every other try letters and digits alone: they are easier to read than any character.
    if (index % 2 === 0) generator.defaultRange.subtract(32, 126).add(97, 122).add(65, 90).add(48, 57);
    generator.max = index === 0 ? 0 : Math.max(index, least);
    const random = randomNumbers(index);
    generator.randInt = (from, to) => (index === 0 ? from : from + Math.floor(random() * (1 + to - from)));
    const text = generator.gen();
    if (fits(text)) return text;
  }
  return undefined;
}

function lengthOf(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}
