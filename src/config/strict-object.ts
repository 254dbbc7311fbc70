import { z } from 'zod';

/** strictObject refuses unknown fields, and its refusal lists the known fields. */
export function strictObject<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code !== 'unrecognized_keys') return undefined;
      const unknown = [issue['keys']].flat().map((key) => JSON.stringify(key));
      return `expected only ${names}, got ${unknown.join(', ')}`;
    },
  });
}
