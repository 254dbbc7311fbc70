import type { HttpProblemCode } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';

/** Refusals of any route with a key: for a wrong key, and for too many requests. */
const KEY_PROBLEMS: readonly HttpProblemCode[] = ['unauthorized', 'forbidden', 'too_many_requests'];

/** BODY_PROBLEMS are the refusals of a route that takes a body. */
export const BODY_PROBLEMS: readonly HttpProblemCode[] = [
  'invalid_request',
  'malformed_json',
  'body_too_large',
  'body_too_slow',
  'body_memory_full',
  'unsupported_media_type',
];

/**
 * problemCodes lists every refusal that a route may answer with: its own, and those that follow from what it
 * takes.
 */
export function problemCodes({ path, operation, open = false }: Route): HttpProblemCode[] {
  const { problems = [], query, body } = operation;
  const takesText = query !== undefined || path.includes('/:');
  return [
    ...new Set<HttpProblemCode>([
      ...(takesText ? (['invalid_request'] as const) : []),
      ...(body === undefined ? [] : BODY_PROBLEMS),
      ...problems,
      ...(open ? [] : KEY_PROBLEMS),
      'internal_error',
    ]),
  ];
}
