import { shown } from '../../errors/input.ts';
import type { Flaw } from '../../errors/problem.ts';
import type { BulkOptions, CallOptions, EnqueueOptions, EventOptions, WaitOptions } from '../job-queue.ts';
import { traceContextIn } from './trace-context.ts';

/**
 * OptionRules has a check for each option of a method. A check returns what is wrong; undefined: the value is
 * good.
 */
type OptionRules<Options> = Readonly<Record<keyof Options, (value: unknown) => Flaw | undefined>>;

/** CALL_RULES are the rules of CallOptions. */
export const CALL_RULES: OptionRules<CallOptions> = {
  signal: (value) => (isSignal(value) ? undefined : expected('signal', 'an AbortSignal', value)),
};

/** BULK_RULES are the rules of BulkOptions. */
export const BULK_RULES: OptionRules<BulkOptions> = {
  trace: (value) =>
    traceContextIn(value) !== undefined
      ? undefined
      : expected('trace', 'an object with a `traceparent` of W3C Trace Context', value),
  ...CALL_RULES,
};

/** ENQUEUE_RULES are the rules of EnqueueOptions. */
export const ENQUEUE_RULES: OptionRules<EnqueueOptions> = {
  idempotencyKey: idempotencyKeyFlaw,
  ...BULK_RULES,
};

/** WAIT_RULES checks each option of WaitOptions. */
export const WAIT_RULES: OptionRules<WaitOptions> = {
  timeoutMs: (value) =>
    typeof value === 'number' ? undefined : expected('timeoutMs', 'a number of milliseconds', value),
  ...CALL_RULES,
};

/** EVENT_RULES are the rules of EventOptions. */
export const EVENT_RULES: OptionRules<EventOptions> = {
  after: (value) =>
    Number.isInteger(value) && Number(value) >= 0
      ? undefined
      : expected('after', 'a whole number from 0, the `number` of an event', value),
  ...CALL_RULES,
};

/**
 * checkedOptions returns the options, or throws the error that `refuse` makes of the first flaw. It also
 * refuses unknown names, because a misspelt option that is ignored costs money or time. If `idempotencyKey`
 * is ignored, a request may be bought twice; if `timeoutMs` is ignored, a wait has no end.
 */
export function checkedOptions<Options extends CallOptions>(
  options: Options,
  rules: OptionRules<Options>,
  refuse: (subject: 'options', flaw: Flaw) => Error,
): Options {
  const flaw = optionFlaw(options, rules);
  if (flaw !== undefined) throw refuse('options', flaw);
  return options;
}

function optionFlaw<Options>(options: unknown, rules: OptionRules<Options>): Flaw | undefined {
  const names = Object.keys(rules).join(' and ');
  // A signal has no keys of its own, so it would be accepted as an object without options.
  if (typeof options !== 'object' || options === null || Array.isArray(options) || isSignal(options)) {
    return expected('', `an object with ${names}`, options);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, name)) return { path: name, message: `expected only ${names} as options` };
    const flaw = value === undefined ? undefined : rules[name as keyof Options](value);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

function expected(path: string, what: string, value: unknown): Flaw {
  return { path, message: `expected ${what}, got ${isSignal(value) ? 'a signal' : shown(value)}` };
}

/**
 * `instanceof` would fail here, because the signal may come from another realm than this file, as in a test
 * runner.
 */
function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value;
}

/** bulkFlaw says what is wrong with the requests of a bulk as a whole; undefined: nothing. */
export function bulkFlaw(requests: unknown): Flaw | undefined {
  return Array.isArray(requests) ? undefined : expected('', 'an array of requests', requests);
}

/** A lone surrogate is half of a character. No URL can contain one. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * jobIdRefusal returns the message of `job_not_found` for a string that cannot be a job's id; undefined: the
 * string can be one. A URL drops `.` and `..`, and an empty id would make the path of the list.
 */
export function jobIdRefusal(id: unknown): string | undefined {
  const isId = typeof id === 'string' && !/^\.{0,2}$/.test(id) && !LONE_SURROGATE.test(id);
  return isId ? undefined : `Expected the id of a job, got ${shown(id)}`;
}

/**
 * idempotencyKeyFlaw says what is wrong with an idempotency key; undefined: nothing. A blank at an end is
 * refused because HTTP drops it.
 */
export function idempotencyKeyFlaw(key: unknown): Flaw | undefined {
  if (typeof key === 'string' && /^[\x20-\x7e]{1,255}$/.test(key) && key.trim() === key) return undefined;
  const got = typeof key === 'string' && key.length > 255 ? `${key.length} of them` : shown(key);
  const message = `expected 1 to 255 printable ASCII characters with no blank at either end, got ${got}`;
  return { path: 'idempotency_key', message };
}
