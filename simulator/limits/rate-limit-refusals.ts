import { ApiError, type ReplyHeaders } from '../api/errors.ts';

/**
 * LimitKind is OpenAI's word for a limit: the `type` of the error, and the last part of the headers' names.
 */
export type LimitKind = 'requests' | 'tokens';

/** OverLimit says which limit a create exceeds, and by how much. */
export type OverLimit = {
  readonly model: string;
  readonly kind: LimitKind;
  readonly limit: number;
  readonly used: number;
  readonly requested: number;
  /** Milliseconds until there is room. */
  readonly waitMs: number;
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const UNITS = { requests: 'requests per min (RPM)', tokens: 'tokens per min (TPM)' } as const;
const MORE = 'Visit https://platform.openai.com/account/rate-limits to learn more.';

/** overLimit returns the 429 for a create that does not fit now but will fit later. */
export function overLimit(over: OverLimit, headers: ReplyHeaders): ApiError {
  const { model, kind, limit, used, requested, waitMs } = over;
  const retryAfterMs = Math.ceil(waitMs);
  return rateLimitExceeded(
    kind,
    [
      `Rate limit reached for ${model} in organization org-simulator on ${UNITS[kind]}: Limit ${limit}, Used ${used}, Requested ${requested}.`,
      `Please try again in ${goDuration(retryAfterMs)}. ${MORE}`,
    ],
    {
      'retry-after': String(Math.ceil(retryAfterMs / 1000)),
      'retry-after-ms': String(retryAfterMs),
      ...headers,
    },
  );
}

/**
 * overWholeLimit returns the 429 for a create that is larger than the whole limit. It names no waiting time,
 * because waiting does not help.
 */
export function overWholeLimit({
  model,
  kind,
  limit,
  requested,
}: Pick<OverLimit, 'model' | 'kind' | 'limit' | 'requested'>): ApiError {
  return rateLimitExceeded(
    kind,
    [
      `Request too large for ${model} in organization org-simulator on ${UNITS[kind]}: Limit ${limit}, Requested ${requested}.`,
      `The input or output tokens must be reduced in order to run successfully. ${MORE}`,
    ],
    {},
  );
}

function rateLimitExceeded(type: LimitKind, sentences: readonly string[], headers: ReplyHeaders): ApiError {
  const message = sentences.join(' ');
  return new ApiError(429, { message, type, param: null, code: 'rate_limit_exceeded' }, headers);
}

/**
 * goDuration writes a duration as OpenAI's `x-ratelimit-reset-*` headers do, which is Go's form: `120ms`,
 * `1.2s`, `6m0s`, `1h0m0s`. It rounds up to a millisecond.
 */
export function goDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.ceil(milliseconds));
  if (whole === 0) return '0s';
  if (whole < SECOND) return `${whole}ms`;
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  const seconds = `${(whole % MINUTE) / SECOND}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
