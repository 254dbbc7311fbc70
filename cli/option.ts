import { InvalidArgumentError, Option } from 'commander';
import { UsageError } from './exit-code.ts';

/** wholeNumber parses an option. The request's schema or the instance checks the range. */
export function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number, 0 or more.');
}

/** positiveNumber parses an option that is a whole number from 1 on. */
export function positiveNumber(text: string): number {
  const number = wholeNumber(text);
  if (number === 0) throw new InvalidArgumentError('Expected a whole number, 1 or more.');
  return number;
}

export interface WaitChoice {
  argument: string | undefined;
  /** How long to wait, in milliseconds; undefined: not at all. */
  timeoutMs: number | undefined;
}

/**
 * waitChoice interprets `--wait [seconds]`. In `ask --wait "Why?"` commander takes the question for the value
 * of `--wait`. Therefore a value that is not a number becomes the argument again.
 */
export function waitChoice(argument: string | undefined, wait: string | true | undefined): WaitChoice {
  if (wait === undefined) return { argument, timeoutMs: undefined };
  if (wait === true) return { argument, timeoutMs: Number.POSITIVE_INFINITY };
  if (/^\d+(\.\d+)?$/.test(wait)) return { argument, timeoutMs: Number(wait) * 1000 };
  if (argument === undefined) return { argument: wait, timeoutMs: Number.POSITIVE_INFINITY };
  throw new UsageError(`--wait: expected seconds, got "${wait}"`);
}

/** wideOption makes the option `-o wide` of the commands that print a table. */
export function wideOption(): Option {
  return new Option(
    '-o, --output <form>',
    'wide: every column with its whole text, even beyond the edge of the terminal',
  ).choices(['wide']);
}
