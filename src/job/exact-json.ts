import { randomUUID } from 'node:crypto';

/**
 * ExactNumber is a number in JSON that JavaScript would write differently, such as 9223372036854775807, 1.0
 * or 1e400. Node 20 can neither read nor write such a number exactly. An ExactNumber keeps its text:
 * `stringifyExact` writes that text, `JSON.stringify` the nearest number.
 */
export class ExactNumber {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  valueOf(): number {
    return Number(this.#text);
  }

  toJSON(): unknown {
    return writing === undefined ? Number(this.#text) : writing.placeholder(this.#text);
  }

  /**
   * canonical returns the same value for all texts of one number: a JavaScript number if that is exact, else
   * an ExactNumber.
   */
  canonical(): number | ExactNumber {
    if (this.#text.length > LONGEST_CANONICAL) return this;
    const mine = decimal(this.#text);
    const nearest = Number(this.#text);
    return mine === decimal(String(nearest)) ? nearest : new ExactNumber(mine);
  }
}

/** Longer texts of a number are compared as they are: comparing their values could take minutes. */
const LONGEST_CANONICAL = 100;

/**
 * parseExact parses JSON as `JSON.parse` does, but keeps the digits of numbers as they came. For JSON without
 * such numbers it only adds one scan, which is faster than the parsing.
 *
 * @throws {SyntaxError}
 */
export function parseExact(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (!hasInexactNumber(text)) return value;
  // The numbers are replaced only after the JSON was found to be valid: a string in place of a number could
  // make invalid JSON valid.
  const mark = `${randomUUID()}:`;
  const pieces: string[] = [];
  let copied = 0;
  findInexactNumbers(text, (start, end) => {
    pieces.push(text.slice(copied, start), `"${mark}${text.slice(start, end)}"`);
    copied = end;
    return true;
  });
  pieces.push(text.slice(copied));
  try {
    return JSON.parse(pieces.join(''), (_key, part: unknown) =>
      typeof part === 'string' && part.startsWith(mark) ? new ExactNumber(part.slice(mark.length)) : part,
    );
  } catch (error: unknown) {
    // JSON that is nested this deeply overflows the stack here. Later checks of the request refuse it.
    if (error instanceof RangeError) return value;
    throw error;
  }
}

/**
 * hasInexactNumber says whether `JSON.parse` would change a number. The text may also be UTF-8 that was read
 * as Latin-1.
 */
export function hasInexactNumber(text: string): boolean {
  let found = false;
  findInexactNumbers(text, () => {
    found = true;
    return false;
  });
  return found;
}

/**
 * stringifyExact writes JSON as `JSON.stringify` does, with two differences: it writes an ExactNumber with
 * its own digits, and it writes a bigint, which `JSON.stringify` refuses, as an integer.
 */
export function stringifyExact(value: unknown): string {
  const placeholders = new Placeholders();
  writing = placeholders;
  try {
    return placeholders.replacedIn(JSON.stringify(value));
  } catch (error: unknown) {
    if (!String(error).includes('BigInt')) throw error;
    return placeholders.replacedIn(
      JSON.stringify(value, (_key, part: unknown) =>
        typeof part === 'bigint' ? placeholders.placeholder(String(part)) : part,
      ),
    );
  } finally {
    writing = undefined;
  }
}

/**
 * canonicalJson writes the same text for values that differ only in the order of fields, or only as 1 differs
 * from 1.0.
 */
export function canonicalJson(value: unknown): string {
  return stringifyExact(canonical(value));
}

/**
 * withPlainNumbers makes JavaScript numbers of the ExactNumbers in some fields of a record, and of their
 * `metadata`. It returns the same record when there is no ExactNumber in them.
 */
export function withPlainNumbers(
  record: Record<string, unknown>,
  fields: readonly string[],
): Record<string, unknown> {
  const changed = fields.flatMap((field): [string, unknown][] => {
    const value = Object.hasOwn(record, field) ? record[field] : undefined;
    const plain =
      field === 'metadata' && isJsonObject(value)
        ? withPlainNumbers(value, Object.keys(value))
        : plainNumber(value);
    return plain === value ? [] : [[field, plain]];
  });
  return changed.length === 0 ? record : { ...record, ...Object.fromEntries(changed) };
}

function plainNumber(value: unknown): unknown {
  return value instanceof ExactNumber ? value.valueOf() : value;
}

/** isJsonObject says whether a value is a JSON object: not null, a list or an ExactNumber. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !(value instanceof ExactNumber) && !Array.isArray(value)
  );
}

/** Set while stringifyExact runs. Nothing else runs meanwhile, because stringifyExact is synchronous. */
let writing: Placeholders | undefined;

/** Placeholders are strings that stand for numbers until the JSON is written. No caller can know them. */
class Placeholders {
  #mark: string | undefined;
  readonly #texts: string[] = [];

  placeholder(text: string): string {
    this.#mark ??= randomUUID();
    this.#texts.push(text);
    return `${this.#mark}:${this.#texts.length - 1}`;
  }

  replacedIn(json: string): string {
    if (this.#mark === undefined) return json;
    return json.replaceAll(
      new RegExp(`"${this.#mark}:(\\d+)"`, 'g'),
      (_all, i) => this.#texts[Number(i)] ?? '',
    );
  }
}

function canonical(value: unknown): unknown {
  if (typeof value === 'bigint') return new ExactNumber(String(value)).canonical();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof ExactNumber) return value.canonical();
  if (Array.isArray(value)) return value.map(canonical);
  // The value is, for example, a Date that a program has put into its request.
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  const sorted = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, part]) => [key, canonical(part)]));
}

/** Returns a number's digits without zeros at their ends, and its exponent: 120, 1.2e2 and 120.0 are 12e1. */
function decimal(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  return `${sign}${significant}e${BigInt(exponent) - BigInt(fraction.length - digits.length + significant.length)}`;
}

const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
const BACKSLASH = 92;
/** Every integer of fewer digits is exact as a JavaScript number. */
const INEXACT_DIGITS = 16;

/**
 * findInexactNumbers looks at all numbers outside of strings. @param onFound returns false to stop.
 */
function findInexactNumbers(text: string, onFound: (start: number, end: number) => boolean): void {
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at + 1);
    else if (code === MINUS || isDigit(code)) {
      const start = at;
      let isInteger = true;
      for (at += 1; at < text.length; at += 1) {
        const next = text.charCodeAt(at);
        if (isDigit(next)) continue;
        if (!isPartOfNumber(next)) break;
        isInteger = false;
      }
      const length = at - start;
      const isPlain = isInteger && length < INEXACT_DIGITS && !(code === MINUS && length === 2);
      if (!isPlain && !isWrittenAs(text.slice(start, at)) && !onFound(start, at)) return;
    } else at += 1;
  }
}

function isWrittenAs(number: string): boolean {
  return JSON.stringify(Number(number)) === number;
}

function endOfString(text: string, from: number): number {
  for (let at = from; ; ) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length;
    let slash = quote - 1;
    while (slash >= from && text.charCodeAt(slash) === BACKSLASH) slash -= 1;
    if ((quote - slash) % 2 === 1) return quote + 1;
    at = quote + 1;
  }
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** Whether a character is a digit, a point, a sign or an exponent. */
function isPartOfNumber(code: number): boolean {
  return code === 46 || code === 43 || code === MINUS || code === 101 || code === 69;
}
