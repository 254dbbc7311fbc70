import { HTTP_PROBLEMS, type HttpProblemCode } from '../http/http-problem.ts';
import type { Route } from '../http/route.ts';

/**
 * The statuses of refusals that any route with a key may answer with: for a wrong key, and for too many
 * requests.
 */
const STATUSES_OF_KEYS = [401, 403, 429];

/** Refusals of a route that takes a body. */
const BODY_PROBLEMS: readonly HttpProblemCode[] = [
  'invalid_request',
  'malformed_json',
  'body_too_large',
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
      ...(open ? [] : codesWith(STATUSES_OF_KEYS)),
      'internal_error',
    ]),
  ];
}

function codesWith(statuses: readonly number[]): HttpProblemCode[] {
  const codes = Object.keys(HTTP_PROBLEMS) as HttpProblemCode[];
  return codes.filter((code) => statuses.includes(HTTP_PROBLEMS[code]));
}
