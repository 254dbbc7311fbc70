import { badRequest, invalidType, invalidValue } from '../http/errors.ts';
import { isObject, type JsonObject } from './json.ts';

/** For the bodies that are the simulator's own: one that is misspelt would do nothing and make a test pass for nothing. */
export function requireKnown(body: unknown, names: readonly string[]): JsonObject {
  if (!isObject(body)) throw invalidType('body', 'an object', body);
  const unknown = Object.keys(body).find((name) => !names.includes(name));
  if (unknown === undefined) return body;
  throw badRequest(`Unknown parameter: '${unknown}'. Supported parameters are: ${names.join(', ')}.`, {
    param: unknown,
    code: 'unknown_parameter',
  });
}

/**
 * Readers of optional request fields. Absent and null are the same thing to OpenAI, so both come
 * back as undefined; anything of another type is OpenAI's 400.
 */
export function booleanField(body: JsonObject, name: string): boolean | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalidType(name, 'a boolean', value);
}

export function stringField(body: JsonObject, name: string): string | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined || typeof value === 'string') return value;
  throw invalidType(name, 'a string', value);
}

export function objectField(body: JsonObject, name: string): JsonObject | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined || isObject(value)) return value;
  throw invalidType(name, 'an object', value);
}

export function arrayField(body: JsonObject, name: string): readonly unknown[] | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined || Array.isArray(value)) return value;
  throw invalidType(name, 'an array', value);
}

export function numberField(
  body: JsonObject,
  name: string,
  minimum: number,
  maximum: number,
): number | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'number') throw invalidType(name, 'a number', value);
  requireRange(name, value, minimum, maximum, 'decimal');
  return value;
}

export function integerField(
  body: JsonObject,
  name: string,
  minimum: number,
  maximum = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidType(name, 'an integer', value);
  requireRange(name, value, minimum, maximum, 'integer');
  return value;
}

/** `path` is what OpenAI calls the field in `param`, as in `reasoning.effort`. */
export function enumField(
  body: JsonObject,
  name: string,
  path: string,
  allowed: readonly string[],
): string | undefined {
  const value = body[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw invalidType(path, 'a string', value);
  if (!allowed.includes(value)) throw invalidValue(path, value, allowed);
  return value;
}

export function requireRange(
  name: string,
  value: number,
  minimum: number,
  maximum: number,
  kind: 'integer' | 'decimal',
): void {
  if (value < minimum) {
    throw badRequest(
      `Invalid '${name}': ${kind} below minimum value. Expected a value >= ${minimum}, but got ${value} instead.`,
      { param: name, code: `${kind}_below_min_value` },
    );
  }
  if (value > maximum) {
    throw badRequest(
      `Invalid '${name}': ${kind} above maximum value. Expected a value <= ${maximum}, but got ${value} instead.`,
      { param: name, code: `${kind}_above_max_value` },
    );
  }
}
