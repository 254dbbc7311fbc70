/** The most that is kept of the further fields of an error, in characters of JSON. */
const MOST_CHARACTERS = 16 * 1024;

/**
 * Names of fields that are dropped at any depth: gateways repeat in them the headers of a request or of a
 * reply, and with them keys.
 */
const PRIVATE = /^(.*[-_])?(headers?|cookies?|authorization|api[-_]?keys?)$/i;

/** JSON that is nested deeper is dropped. */
const DEEPEST = 20;

/**
 * furtherFields returns the fields of an upstream's error beside `known` as the upstream sent them, without
 * headers and keys: `misalignment`, `inner_error`, `details`, `metadata`. Fields are kept in their order as
 * long as they fit in 16 KB of JSON. undefined: there is no such field.
 */
export function furtherFields(
  error: Readonly<Record<string, unknown>>,
  known: readonly string[],
): Record<string, unknown> | undefined {
  const kept: [string, unknown][] = [];
  let characters = 0;
  for (const [name, value] of Object.entries(error)) {
    if (value === undefined || known.includes(name) || PRIVATE.test(name)) continue;
    const shown = withoutPrivate(value, 0);
    const size = name.length + (JSON.stringify(shown)?.length ?? 0);
    if (characters + size > MOST_CHARACTERS) continue;
    characters += size;
    kept.push([name, shown]);
  }
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

function withoutPrivate(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === DEEPEST) return null;
  if (Array.isArray(value)) return value.map((entry) => withoutPrivate(entry, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !PRIVATE.test(name))
      .map(([name, inner]) => [name, withoutPrivate(inner, depth + 1)]),
  );
}
