import { ApiError, badRequest, responseNotFound } from '../http/errors.ts';
import { goDuration } from '../limits/go-duration.ts';
import type { Run } from '../response/run.ts';
import type { DoorFault } from './faults.ts';

const DEFAULT_RETRY_AFTER_MS = 1000;

/** The door faults that are answers of the API; the others never get that far. */
export type Refusal = Extract<DoorFault, '400' | '429' | '429_bare' | '429_quota' | '500' | '503'>;

export function refusal(fault: Refusal, model: string, retryAfterMs = DEFAULT_RETRY_AFTER_MS): ApiError {
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

export function refuseIfGone(run: Run): void {
  if (run.misbehaviour.lookup === 'gone') throw responseNotFound(run.script.id);
}

/** Refuses a GET while the response's script wants lookups to fail. */
export function refuseLookup(run: Run): void {
  refuseIfGone(run);
  const { lookup } = run.misbehaviour;
  if (lookup !== 'poll_429' && lookup !== 'poll_500') return;
  const { request } = run.script;
  if (run.failedPolls >= (request.wishes.numbers.sim_polls ?? 1)) return;
  run.failedPolls += 1;
  const fault = lookup === 'poll_429' ? '429' : '500';
  throw refusal(fault, request.model.id, request.wishes.numbers.sim_retry_after_ms);
}

function throttled(model: string, retryAfterMs: number, headers: Record<string, string>): ApiError {
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
  headers: Record<string, string> = {},
): ApiError {
  return new ApiError(status, { message: sentences.join(' '), type, param: null, code }, headers);
}
