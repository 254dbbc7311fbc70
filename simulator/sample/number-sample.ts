import type { JsonObject } from '../api/json.ts';

/** How many multiples are tried for one that every validator accepts. */
const MULTIPLES_TRIED = 1000;

/**
 * sampleNumber returns the number nearest to 0 that the bounds of a schema and its `multipleOf` allow.
 * undefined: it found none.
 */
export function sampleNumber(schema: JsonObject, isInteger: boolean): number | undefined {
  const { multipleOf } = schema;
  const step = typeof multipleOf === 'number' && multipleOf > 0 ? multipleOf : undefined;
  const candidates = step === undefined ? looseCandidates(schema, isInteger) : multiples(schema, step);
  return candidates.find((value) => isWithin(value, schema) && (!isInteger || Number.isInteger(value)));
}

/** looseCandidates are whole numbers first: they are easier to read. */
function looseCandidates(schema: JsonObject, isInteger: boolean): number[] {
  const [from, to] = boundsOf(schema);
  if (from === undefined && to === undefined) return [0];
  if (from === undefined || to === undefined) {
    const bound = from ?? to ?? 0;
    const sign = from === undefined ? -1 : 1;
    return [0, sign * Math.ceil(sign * bound), sign * (Math.floor(sign * bound) + 1), bound, bound + sign];
  }
  const whole = [0, Math.ceil(from), Math.floor(from) + 1, Math.floor(to)];
  return isInteger ? whole : [...whole, from, to, (from + to) / 2];
}

function multiples(schema: JsonObject, step: number): number[] {
  const [from, to] = boundsOf(schema);
  const first =
    from !== undefined && from > 0
      ? Math.ceil(from / step)
      : to !== undefined && to < 0
        ? Math.floor(to / step)
        : 0;
  const direction = first < 0 ? -1 : 1;
  // 3 × 0.1 is 0.30000000000000004, and 0.3 / 0.1 is 2.9999999999999996: not a multiple to many validators.
  const rounded = Array.from({ length: MULTIPLES_TRIED }, (_, index) =>
    Number(((first + direction * index) * step).toPrecision(15)),
  );
  return rounded.filter((value) => Number.isInteger(value / step));
}

function boundsOf(schema: JsonObject): [from: number | undefined, to: number | undefined] {
  const from = numbers(schema['minimum'], schema['exclusiveMinimum']);
  const to = numbers(schema['maximum'], schema['exclusiveMaximum']);
  return [from.length === 0 ? undefined : Math.max(...from), to.length === 0 ? undefined : Math.min(...to)];
}

function isWithin(value: number, schema: JsonObject): boolean {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  return (
    (typeof minimum !== 'number' || value >= minimum) &&
    (typeof maximum !== 'number' || value <= maximum) &&
    (typeof exclusiveMinimum !== 'number' || value > exclusiveMinimum) &&
    (typeof exclusiveMaximum !== 'number' || value < exclusiveMaximum)
  );
}

function numbers(...values: readonly unknown[]): number[] {
  return values.filter((value) => typeof value === 'number');
}
