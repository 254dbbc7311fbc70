import { InvalidArgumentError } from 'commander';
import { UsageError } from './exit-code.ts';

/** Its range is judged where all ranges are: by the request's schema, or by the instance. */
export function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number, 0 or more.');
}

export interface WaitChoice {
  argument: string | undefined;
  /** undefined: do not wait. */
  timeoutMs: number | undefined;
}

/**
 * What `--wait [seconds]` means. commander gives it whatever word comes next, so that in `ask --wait "Why?"` the question
 * arrives as the option's value: a word that is no number goes back to be the argument.
 */
export function waitChoice(argument: string | undefined, wait: string | true | undefined): WaitChoice {
  if (wait === undefined) return { argument, timeoutMs: undefined };
  if (wait === true) return { argument, timeoutMs: Number.POSITIVE_INFINITY };
  if (/^\d+(\.\d+)?$/.test(wait)) return { argument, timeoutMs: Number(wait) * 1000 };
  if (argument === undefined) return { argument: wait, timeoutMs: Number.POSITIVE_INFINITY };
  throw new UsageError(`--wait: expected seconds, got "${wait}"`);
}
