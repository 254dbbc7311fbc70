import type { JobDetail } from '../../src/job-store/result.ts';
import type { HttpProblem } from '../http/http-problem.ts';

/** OpenAI's error envelope: https://platform.openai.com/docs/guides/error-codes */
export interface Envelope {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
  /** The other fields of an error of the upstream, such as `misalignment` or `metadata`. */
  [field: string]: unknown;
}

/** OpenAiError is a refusal in OpenAI's envelope. */
export class OpenAiError extends Error {
  override readonly name = 'OpenAiError';
  readonly status: number;
  readonly envelope: Envelope;
  readonly headers: Record<string, string>;
  constructor(
    status: number,
    {
      message,
      type = 'invalid_request_error',
      param = null,
      code = null,
      ...more
    }: Partial<Envelope> & { message: string },
    headers: Record<string, string> = {},
  ) {
    super(message);
    this.status = status;
    this.envelope = { message, type, param, code, ...more };
    this.headers = headers;
  }

  toJSON(): { error: Envelope } {
    return { error: this.envelope };
  }
}

/** DO_NOT_RETRY keeps OpenAI's SDKs from retrying: a failed job has used up all its attempts. */
export const DO_NOT_RETRY = { 'x-should-retry': 'false' };

/**
 * refuseLikeUpstream throws the upstream's own error if the upstream has refused the request.
 * @throws {OpenAiError} with the upstream's status and words.
 */
export function refuseLikeUpstream({ refusal }: Pick<JobDetail, 'refusal'>): void {
  if (refusal?.status === undefined) return;
  const { status, message, type, param, code, more } = refusal;
  throw new OpenAiError(
    status,
    { message, type: type ?? 'invalid_request_error', param, code, ...more },
    DO_NOT_RETRY,
  );
}

/**
 * openAiErrorFrom turns a refusal of ours into OpenAI's envelope, with the status and code for which its SDKs
 * throw the matching error class.
 */
export function openAiErrorFrom(problem: HttpProblem): OpenAiError {
  const { status, message, headers } = problem;
  const param = problem.flaws[0]?.path.replace(/^request\./, '') || null;
  // OpenAI has a code of its own for this one.
  if (param === 'previous_response_id' && problem.code === 'invalid_request')
    return new OpenAiError(400, { message, param, code: 'previous_response_not_found' }, headers);
  switch (problem.code) {
    case 'unauthorized':
      return new OpenAiError(401, { message, code: 'invalid_api_key' }, headers);
    case 'unknown_model':
      return new OpenAiError(404, { message, code: 'model_not_found', param: 'model' }, headers);
    case 'idempotency_key_reused':
      return new OpenAiError(409, { message, code: problem.code }, { ...headers, ...DO_NOT_RETRY });
    case 'too_many_requests':
      return new OpenAiError(429, { message, type: 'requests', code: 'rate_limit_exceeded' }, headers);
    case 'budget_exhausted':
      return new OpenAiError(
        429,
        { message, type: 'insufficient_quota', code: 'insufficient_quota' },
        { ...headers, ...DO_NOT_RETRY },
      );
    case 'too_many_waiting':
    case 'too_much_stored':
    case 'too_many_streams':
      return new OpenAiError(429, { message, type: 'requests', code: problem.code }, headers);
    case 'body_memory_full':
    case 'storage_full':
    case 'redis_unavailable':
      return new OpenAiError(
        503,
        { message, type: 'service_unavailable_error', code: problem.code },
        headers,
      );
    case 'answer_damaged':
      return new OpenAiError(
        500,
        { message, type: 'server_error', code: problem.code },
        { ...headers, ...DO_NOT_RETRY },
      );
    case 'internal_error':
      return new OpenAiError(500, { message, type: 'server_error', code: 'server_error' }, headers);
    default:
      return new OpenAiError(status, { message, param, code: status === 400 ? null : problem.code }, headers);
  }
}
