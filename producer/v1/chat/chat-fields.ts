import { shown } from '../../../src/errors/input.ts';
import { isJsonObject } from '../../../src/job/exact-json.ts';
import { OpenAiError } from '../openai-error.ts';

export type Fields = Record<string, unknown>;

/**
 * cannotCarry makes the refusal of a parameter for which the Responses API has no counterpart.
 * @param instead what the caller can do, as a clause.
 */
export function cannotCarry(param: string, instead?: string): OpenAiError {
  const message = `\`${param}\` cannot be carried to the Responses API${instead === undefined ? '' : `: ${instead}`}`;
  return new OpenAiError(400, { message, param, code: 'unsupported_parameter' });
}

/** unknownParameter makes the refusal of a parameter that OpenAI does not have, in OpenAI's words. */
export function unknownParameter(param: string): OpenAiError {
  return new OpenAiError(400, {
    message: `Unknown parameter: '${param}'.`,
    param,
    code: 'unknown_parameter',
  });
}

/** unexpected makes the refusal of a value. @param expected what would have been right. */
export function unexpected(param: string, expected: string, value: unknown): OpenAiError {
  const message = `Invalid value for '${param}': expected ${expected}, got ${shown(value)}.`;
  return new OpenAiError(400, {
    message,
    param,
    code: value === undefined ? 'missing_required_parameter' : 'invalid_type',
  });
}

/** @throws {OpenAiError} */
export function objectIn(value: unknown, param: string): Fields {
  if (isJsonObject(value)) return value;
  throw unexpected(param, 'an object', value);
}

/** @throws {OpenAiError} */
export function listIn(value: unknown, param: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw unexpected(param, 'a list', value);
}

/** @throws {OpenAiError} */
export function textIn(value: unknown, param: string): string {
  if (typeof value === 'string') return value;
  throw unexpected(param, 'a text', value);
}

/** booleanIn counts null as false. @throws {OpenAiError} */
export function booleanIn(value: unknown, param: string): boolean {
  if (typeof value === 'boolean' || value === undefined || value === null) return value === true;
  throw unexpected(param, 'true or false', value);
}

/** pick returns the fields of these names that have a value. Null counts as none. */
export function pick(fields: Fields, names: readonly string[]): Fields {
  const found = names.flatMap((name) => (isSet(fields[name]) ? [[name, fields[name]] as const] : []));
  return Object.fromEntries(found);
}

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}
