import type { FailureCode } from '../../../src/errors/failure.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import { DO_NOT_RETRY, OpenAiError } from '../openai-error.ts';

/** The statuses of failures that are not the upstream's own. Any other failure is a 500. */
const STATUSES = new Map<string, number>([
  ['invalid_request', 400],
  ['response_refused', 400],
  ['request_too_large', 400],
  ['not_found', 404],
  ['response_cancelled', 409],
  ['rate_limited', 429],
  ['quota_exhausted', 429],
  ['timeout', 504],
  ['deadline_passed', 504],
] satisfies [FailureCode, number][]);

/**
 * chatFailureOf returns the error of a job that has ended without an answer. A chat completion has no status
 * `failed`, so a failed job is an HTTP error, or the last chunk of a stream. OpenAI's SDKs do not send the
 * call again, because the queue has already used up the attempts of the job.
 */
export function chatFailureOf({ job, refusal }: Pick<JobDetail, 'job' | 'refusal'>): OpenAiError {
  if (job.status !== 'failed') {
    return new OpenAiError(
      409,
      { message: `The job ${job.id} was cancelled.`, code: 'cancelled' },
      DO_NOT_RETRY,
    );
  }
  const { error } = job;
  const status = statusOf(error.code, refusal);
  const code = refusal?.code ?? (error.code === 'quota_exhausted' ? 'insufficient_quota' : error.code);
  return new OpenAiError(
    status,
    {
      message: refusal?.message ?? error.message,
      type: refusal?.type ?? typeOf(status, code),
      param: refusal?.param ?? null,
      code,
      ...refusal?.more,
    },
    DO_NOT_RETRY,
  );
}

function statusOf(code: string, refusal: JobDetail['refusal']): number {
  const own = refusal?.status;
  // Some servers refuse with a 200 or a redirect.
  if (own !== undefined && own >= 400 && own <= 599) return own;
  return STATUSES.get(code) ?? 500;
}

function typeOf(status: number, code: string): string {
  if (status === 429) return code === 'insufficient_quota' ? code : 'requests';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}
