import { isObject } from '../request/json.ts';

/** Schemas come from outside and may refer to themselves in substance; deeper than this is null. */
const MAX_DEPTH = 6;

/** A small value that fits the plain parts of a JSON schema: types, enums, required properties. */
export function sampleOf(schema: unknown, depth = 0): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH) return null;
  if ('const' in schema) return schema['const'];
  const choices = schema['enum'];
  if (Array.isArray(choices)) return choices[0];
  const type = Array.isArray(schema['type']) ? schema['type'][0] : schema['type'];
  switch (type) {
    case 'string':
      return 'simulated';
    case 'integer':
    case 'number':
      return typeof schema['minimum'] === 'number' ? schema['minimum'] : 0;
    case 'boolean':
      return true;
    case 'array':
      return [];
    case 'object':
      return sampleObject(schema['properties'], schema['required'], depth);
    default:
      return null;
  }
}

function sampleObject(properties: unknown, required: unknown, depth: number): unknown {
  if (!isObject(properties)) return {};
  const names = Array.isArray(required) ? required : Object.keys(properties);
  return Object.fromEntries(names.map((name) => [name, sampleOf(properties[String(name)], depth + 1)]));
}
