import { refusalMessage } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import { isJsonObject } from '../job/exact-json.ts';

/** The client's own codes; docs/ERRORS.md explains them, and a test compares the two lists. */
export const CLIENT_CODES = [
  'instance_unreachable',
  'answer_lost',
  'unexpected_response',
  'invalid_client_option',
] as const;

/**
 * O3ClientError says why a call to an instance failed, and what to do. `code` is the refusal's code
 * (docs/ERRORS.md), or one of the client's own codes:
 *
 * - `instance_unreachable`: no server answers at the URL, so the call had no effect.
 * - `answer_lost`: the connection broke, or the time ran out, after a request that changes something was
 *   sent. It is unknown whether the request was carried out.
 * - `unexpected_response`: another server answers at the URL.
 * - `invalid_client_option`: the client was made with an option that it does not know, or with a URL or a key
 *   that cannot be used.
 *
 * A failed job is data, never an O3ClientError.
 */
export class O3ClientError extends Error {
  override readonly name = 'O3ClientError';
  readonly code: string;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** For `invalid_request`: every field that was wrong. */
  readonly flaws: readonly Flaw[];
  /** After how many milliseconds to try again; undefined: the instance did not say. */
  readonly retryAfterMs: number | undefined;
  constructor(
    code: string,
    message: string,
    options: ErrorOptions & {
      status?: number;
      flaws?: readonly Flaw[];
      retryAfterMs?: number | undefined;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status;
    this.flaws = options.flaws ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** errorFromResponse makes an error from a response that is neither a success nor a redirect. */
export function errorFromResponse(
  url: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  body: string,
  retryAfterMs: number | undefined,
): O3ClientError {
  const isJson = headers.get('content-type')?.includes('json') === true;
  return (
    errorFromProblem(isJson ? jsonFrom(body) : undefined, { status, retryAfterMs }) ??
    unexpectedResponse(url, status, body === '' ? 'an empty body' : JSON.stringify(body.slice(0, 120)))
  );
}

/**
 * errorFromProblem makes an error from a problem in the form of RFC 9457; undefined: the body is not a
 * problem.
 */
export function errorFromProblem(
  problem: unknown,
  about: { status: number; retryAfterMs?: number | undefined },
): O3ClientError | undefined {
  if (!isJsonObject(problem) || typeof problem['code'] !== 'string') return undefined;
  const flaws = flawsIn(problem['flaws']);
  const detail = [problem['detail'], problem['title']].find(
    (text) => typeof text === 'string' && text !== '',
  );
  const message = withFlaws(String(detail ?? problem['code']), flaws);
  return new O3ClientError(problem['code'], message, { ...about, flaws });
}

/**
 * argumentRefused returns the error for an argument that the client itself refuses, before it sends anything.
 * An instance would refuse the request with the same words.
 */
export function argumentRefused(subject: string, flaw: Flaw): O3ClientError {
  return new O3ClientError('invalid_request', refusalMessage(subject, [flaw]), { flaws: [flaw] });
}

export function unexpectedResponse(url: string, status: number, came: string): O3ClientError {
  const advice = url.endsWith('/v1')
    ? 'leave out /v1 at the end of O3Q_URL'
    : 'check O3Q_URL (and O3Q_API_KEY, if something in between asks for a key)';
  return new O3ClientError(
    'unexpected_response',
    `Expected an o3-queue at ${url}, got HTTP ${status} with ${came}: ${advice}`,
    { status },
  );
}

export function jsonFrom(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function flawsIn(value: unknown): Flaw[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter(isJsonObject)
    .map((flaw) => ({ path: String(flaw['path'] ?? ''), message: String(flaw['message'] ?? '') }));
}

/**
 * The problem's detail usually lists the flaws already. Flaws that it does not list are added, for callers
 * that print the message alone.
 */
function withFlaws(detail: string, flaws: readonly Flaw[]): string {
  const missing = flaws.filter(({ message }) => !detail.includes(message));
  if (missing.length === 0) return detail;
  return `${detail}: ${missing.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ')}`;
}
