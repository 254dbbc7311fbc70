import { badRequest, invalidType } from '../http/errors.ts';
import { objectField } from './fields.ts';
import type { JsonObject } from './json.ts';

export type Metadata = Readonly<Record<string, string>>;

const MAX_PAIRS = 16;
const MAX_KEY_LENGTH = 64;
const MAX_VALUE_LENGTH = 512;

export function readMetadata(body: JsonObject): Metadata {
  const pairs = Object.entries(objectField(body, 'metadata') ?? {});
  if (pairs.length > MAX_PAIRS) {
    throw badRequest(
      `Invalid 'metadata': too many properties. Expected an object with at most ${MAX_PAIRS} properties, but got an object with ${pairs.length} properties instead.`,
      { param: 'metadata', code: 'object_above_max_properties' },
    );
  }
  return Object.fromEntries(pairs.map(checkPair));
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
