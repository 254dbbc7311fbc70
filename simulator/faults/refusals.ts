import { ApiError, badRequest, type ReplyHeaders } from '../api/errors.ts';
import { goDuration } from '../limits/rate-limit-refusals.ts';
import type { CreateFault } from './faults.ts';

const DEFAULT_RETRY_AFTER_MS = 1000;

/** RefusalFault is a create fault that the simulator answers with an error of OpenAI's API. */
export type RefusalFault = Extract<CreateFault, '400' | '429' | '429_bare' | '429_quota' | '500' | '503'>;

/** refusal returns the error of a fault. */
export function refusal(fault: RefusalFault, model: string, retryAfterMs = DEFAULT_RETRY_AFTER_MS): ApiError {
  switch (fault) {
    case '400':
      return badRequest("Invalid 'input': refused, because metadata.sim asked for it.", {
        param: 'input',
        code: 'invalid_value',
      });
    case '429':
      return throttled(model, retryAfterMs, {
        'retry-after': String(Math.ceil(retryAfterMs / 1000)),
        'retry-after-ms': String(retryAfterMs),
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': goDuration(retryAfterMs),
      });
    case '429_bare':
      return throttled(model, retryAfterMs, {});
    case '429_quota':
      return apiError(429, 'insufficient_quota', 'insufficient_quota', [
        'You exceeded your current quota, please check your plan and billing details.',
      ]);
    case '500':
      return apiError(500, 'server_error', null, [
        'The server had an error while processing your request. Sorry about that!',
      ]);
    case '503':
      return apiError(503, 'service_unavailable_error', 'server_is_overloaded', [
        'Our servers are currently overloaded. Please try again later.',
      ]);
    default: {
      const never: never = fault;
      return never;
    }
  }
}

function throttled(model: string, retryAfterMs: number, headers: ReplyHeaders): ApiError {
  const lines = [
    `Rate limit reached for ${model} in organization org-simulator on requests per min (RPM): Limit 500, Used 500, Requested 1.`,
    `Please try again in ${goDuration(retryAfterMs)}.`,
  ];
  return apiError(429, 'requests', 'rate_limit_exceeded', lines, headers);
}

function apiError(
  status: number,
  type: string,
  code: string | null,
  sentences: readonly string[],
  headers: ReplyHeaders = {},
): ApiError {
  return new ApiError(status, { message: sentences.join(' '), type, param: null, code }, headers);
}
