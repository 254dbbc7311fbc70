import { badRequest, invalidType, invalidValue } from './errors.ts';
import { isObject, type JsonObject } from './json.ts';

/** Metadata are the key-value pairs of a create request. */
export type Metadata = Readonly<Record<string, string>>;

const MAX_PAIRS = 16;
const MAX_KEY_LENGTH = 64;
const MAX_VALUE_LENGTH = 512;

/**
 * requireKnown refuses unknown fields in the bodies of the simulator's own routes. If they were ignored, a
 * test with a misspelt field could pass for the wrong reason.
 */
export function requireKnown(body: unknown, names: readonly string[]): JsonObject {
  if (!isObject(body)) throw invalidType('body', 'an object', body);
  const unknown = Object.keys(body).find((name) => !names.includes(name));
  if (unknown === undefined) return body;
  throw badRequest(`Unknown parameter: '${unknown}'. Supported parameters are: ${names.join(', ')}.`, {
    param: unknown,
    code: 'unknown_parameter',
  });
}

/*
 * These functions read optional request fields. Absent and null mean the same to OpenAI, so both become
 * undefined. A value of another type gets OpenAI's 400.
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

/** @param path what OpenAI calls the field in `param`, such as `reasoning.effort`. */
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

export function metadataField(body: JsonObject): Metadata {
  const pairs = Object.entries(objectField(body, 'metadata') ?? {});
  if (pairs.length > MAX_PAIRS) {
    throw badRequest(
      `Invalid 'metadata': too many properties. Expected an object with at most ${MAX_PAIRS} properties, but got an object with ${pairs.length} properties instead.`,
      { param: 'metadata', code: 'object_above_max_properties' },
    );
  }
  return Object.fromEntries(pairs.map(checkPair));
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

function checkPair([key, value]: [string, unknown]): [string, string] {
  if (key.length > MAX_KEY_LENGTH) throw tooLong('metadata', MAX_KEY_LENGTH, key.length);
  if (typeof value !== 'string') throw invalidType(`metadata.${key}`, 'a string', value);
  if (value.length > MAX_VALUE_LENGTH) throw tooLong(`metadata.${key}`, MAX_VALUE_LENGTH, value.length);
  return [key, value];
}

function tooLong(param: string, maximum: number, length: number) {
  return badRequest(
    `Invalid '${param}': string too long. Expected a string with maximum length ${maximum}, but got a string with length ${length} instead.`,
    { param, code: 'string_above_max_length' },
  );
}
