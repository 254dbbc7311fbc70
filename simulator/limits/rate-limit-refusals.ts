import { ApiError } from '../http/errors.ts';
import type { ReplyHeaders } from '../http/reply.ts';
import { goDuration } from './go-duration.ts';

/** OpenAI's word for it: the `type` of the error, and the end of its headers' names. */
export type LimitKind = 'requests' | 'tokens';

export type OverLimit = {
  readonly model: string;
  readonly kind: LimitKind;
  readonly limit: number;
  readonly used: number;
  readonly requested: number;
  /** Until there would be room. */
  readonly waitMs: number;
};

const UNITS = { requests: 'requests per min (RPM)', tokens: 'tokens per min (TPM)' } as const;
const MORE = 'Visit https://platform.openai.com/account/rate-limits to learn more.';

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

/** No waiting helps, so none is asked for. */
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
