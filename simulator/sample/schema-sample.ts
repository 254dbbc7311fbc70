import { isObject, type JsonObject } from '../api/json.ts';
import { sampleNumber } from './number-sample.ts';
import { sampleString } from './string-sample.ts';

/**
 * The caller sends the schema and may nest and repeat it without limit, so the walk is bounded: in depth, in
 * parts visited, and in the items of one array.
 */
const MAX_DEPTH = 40;
const MAX_PARTS = 20_000;
const MAX_ITEMS = 1000;

/** NOTHING says that a part of a schema has no sample: a recursion without an end, or bounds too narrow. */
const NOTHING = Symbol('nothing');

type Walk = {
  readonly root: JsonObject;
  /** The references that lead to this part. Each is followed once, so that a recursion ends. */
  readonly followed: readonly string[];
  readonly depth: number;
  readonly count: { parts: number };
};

/**
 * sampleOf returns a small value that satisfies a JSON schema: the same value for the same schema. It knows
 * what OpenAI documents for structured outputs, and `oneOf`, `allOf`, `prefixItems` and two more formats.
 * Where it finds no such value it returns null. It does not know `not`, `if`, `contains`, `uniqueItems`,
 * `patternProperties`, `minProperties`, `dependentRequired`, and references to other documents.
 */
export function sampleOf(schema: unknown): unknown {
  if (!isObject(schema)) return null;
  const sample = walk(schema, { root: schema, followed: [], depth: 0, count: { parts: 0 } });
  return sample === NOTHING ? null : sample;
}

function walk(schema: unknown, at: Walk): unknown {
  if (schema === true || schema === undefined) return null;
  at.count.parts += 1;
  if (!isObject(schema) || at.depth > MAX_DEPTH || at.count.parts > MAX_PARTS) return NOTHING;
  if ('const' in schema) return schema['const'];
  const { enum: choices, $ref: reference, allOf, anyOf, oneOf, ...beside } = schema;
  if (Array.isArray(choices)) return choices.length === 0 ? NOTHING : choices[0];
  if (typeof reference === 'string') return followed(reference, without('$ref', schema), at);
  if (Array.isArray(allOf)) {
    const parts = allOf.map((part) => dereferenced(part, at.root));
    return walk(parts.reduce<JsonObject>(merged, without('allOf', schema)), inner(at));
  }
  const branches = anyOf ?? oneOf;
  if (Array.isArray(branches)) {
    return firstOf(nullsLast(branches), (branch) => walk(merged(beside, branch), inner(at)));
  }
  return firstOf(typesOf(schema), (type) => typed(type, schema, at));
}

function typed(type: unknown, schema: JsonObject, at: Walk): unknown {
  switch (type) {
    case 'string':
      return sampleString(schema) ?? NOTHING;
    case 'integer':
    case 'number':
      return sampleNumber(schema, type === 'integer') ?? NOTHING;
    case 'boolean':
      return true;
    case 'array':
      return sampleArray(schema, at);
    case 'object':
      return sampleObject(schema, at);
    default:
      return null;
  }
}

/** An array has one item, or as many as `minItems` asks for. It is empty where an item has no sample. */
function sampleArray(schema: JsonObject, at: Walk): unknown {
  const least = typeof schema['minItems'] === 'number' ? schema['minItems'] : 0;
  const most = typeof schema['maxItems'] === 'number' ? schema['maxItems'] : Number.POSITIVE_INFINITY;
  const first: unknown[] = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : [];
  if (least > most || least > MAX_ITEMS) return NOTHING;
  const wanted = Math.max(least, schema['items'] === undefined ? first.length : first.length + 1);
  const items: unknown[] = [];
  while (items.length < Math.min(wanted, most, MAX_ITEMS)) {
    const item = walk(first[items.length] ?? schema['items'], inner(at));
    if (item === NOTHING) break;
    items.push(item);
  }
  return items.length < least ? NOTHING : items;
}

/** An object has the properties that `required` names. Without `required` it has all that have a sample. */
function sampleObject(schema: JsonObject, at: Walk): unknown {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = Array.isArray(schema['required']) ? schema['required'].map(String) : undefined;
  const entries = (required ?? Object.keys(properties)).map(
    (name) => [name, walk(properties[name], inner(at))] as const,
  );
  const complete = entries.filter(([, value]) => value !== NOTHING);
  if (required !== undefined && complete.length < entries.length) return NOTHING;
  return Object.fromEntries(complete);
}

function followed(reference: string, beside: JsonObject, at: Walk): unknown {
  if (at.followed.includes(reference)) return NOTHING;
  const target = targetOf(reference, at.root);
  if (target === undefined) return NOTHING;
  return walk(merged(target, beside), { ...inner(at), followed: [...at.followed, reference] });
}

/** targetOf returns what a JSON pointer into the schema itself names: `#`, or `#/$defs/name`. */
function targetOf(reference: string, root: JsonObject): JsonObject | undefined {
  if (!reference.startsWith('#')) return undefined;
  const names = reference.slice(1).split('/').slice(1);
  const target = names.reduce<unknown>((value, name) => {
    const key = decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~');
    return isObject(value) || Array.isArray(value) ? Reflect.get(value, key) : undefined;
  }, root);
  return isObject(target) ? target : undefined;
}

/** dereferenced replaces a part that is a reference by what it names, so that several can be merged. */
function dereferenced(part: unknown, root: JsonObject): unknown {
  if (!isObject(part) || typeof part['$ref'] !== 'string') return part;
  return merged(targetOf(part['$ref'], root) ?? {}, without('$ref', part));
}

function without(name: string, schema: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => key !== name));
}

/**
 * merged lays one schema over another. Their properties, and the names of the required ones, are added up.
 */
function merged(under: JsonObject, over: unknown): JsonObject {
  if (!isObject(over)) return under;
  const sum: Record<string, unknown> = { ...under, ...over };
  if (isObject(under['properties']) && isObject(over['properties'])) {
    sum['properties'] = { ...under['properties'], ...over['properties'] };
  }
  if (Array.isArray(under['required']) && Array.isArray(over['required'])) {
    sum['required'] = [...new Set([...under['required'], ...over['required']])];
  }
  return sum;
}

function inner(at: Walk): Walk {
  return { ...at, depth: at.depth + 1 };
}

function firstOf<Choice>(choices: readonly Choice[], sample: (choice: Choice) => unknown): unknown {
  for (const choice of choices) {
    const value = sample(choice);
    if (value !== NOTHING) return value;
  }
  return NOTHING;
}

function nullsLast(branches: readonly unknown[]): unknown[] {
  const isNull = (branch: unknown): boolean => isObject(branch) && branch['type'] === 'null';
  return [...branches.filter((branch) => !isNull(branch)), ...branches.filter(isNull)];
}

/** typesOf returns the types of a schema, `null` last. A schema without a type says it by its other words. */
function typesOf(schema: JsonObject): unknown[] {
  const { type } = schema;
  if (Array.isArray(type))
    return [...type.filter((one) => one !== 'null'), ...type.filter((one) => one === 'null')];
  if (type !== undefined) return [type];
  const says = (...words: readonly string[]): boolean => words.some((word) => word in schema);
  if (says('properties', 'required')) return ['object'];
  if (says('items', 'prefixItems', 'minItems')) return ['array'];
  if (says('pattern', 'format', 'minLength', 'maxLength')) return ['string'];
  if (says('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf')) return ['number'];
  return ['null'];
}
