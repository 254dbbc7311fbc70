import { DO_NOT_RETRY, OpenAiError } from '../openai-error.ts';
import type { DirectOutcome } from './upstream-call.ts';

type OutcomeOf<Kind> = Extract<DirectOutcome, { kind: Kind }>;

/** Said is what the refusals of a direct call name. */
interface Said {
  /** The base URL of the upstream. */
  baseUrl: string;
  /** The path below the base URL. */
  path: string;
  /** Whether a second call would be paid for again. */
  isBought: boolean;
}

/** noUpstream is the refusal of a producer that has neither a key nor a base URL of the upstream. */
export function noUpstream(): OpenAiError {
  return new OpenAiError(
    501,
    {
      message:
        'This call goes to the upstream at once, and this producer knows no upstream: set OPENAI_API_KEY ' +
        '(or OPENAI_BASE_URL) for producers too, not only for workers.',
      type: 'server_error',
      code: 'upstream_not_configured',
    },
    DO_NOT_RETRY,
  );
}

/**
 * lackError is the refusal of a call that the upstream does not know: it has answered 404, 405 or 501, and
 * not about the model or an id. undefined: it refused for another reason.
 */
export function lackError(
  { status, failure }: OutcomeOf<'refused'>,
  { baseUrl, path }: Said,
): OpenAiError | undefined {
  const isAbsent = (status === 404 || status === 405) && failure.code === 'wrong_address';
  if (!isAbsent && status !== 501) return undefined;
  return new OpenAiError(
    501,
    {
      message: `The upstream at ${baseUrl} has no POST ${path}: ${failure.message}.`,
      type: 'server_error',
      code: 'not_supported_by_upstream',
    },
    DO_NOT_RETRY,
  );
}

/** refusedError passes a refusal of the upstream on, in its own words. */
export function refusedError(
  { status, failure, headers }: OutcomeOf<'refused'>,
  { baseUrl }: Said,
): OpenAiError {
  const { refusal } = failure;
  // The caller's own key is valid, so a 401 would send the caller to the wrong place.
  const isOurFault = failure.code === 'authentication' || failure.code === 'wrong_address';
  if (isOurFault || refusal === undefined) {
    const what = failure.code === 'authentication' ? 'refused the key of this producer' : 'is not the API';
    return new OpenAiError(
      502,
      {
        message: `The upstream at ${baseUrl} ${what}: ${failure.message}.`,
        type: 'server_error',
        code: `upstream_${failure.code}`,
      },
      DO_NOT_RETRY,
    );
  }
  const type = refusal.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
  const { message, param, code, more } = refusal;
  return new OpenAiError(status >= 400 ? status : 502, { message, type, param, code, ...more }, headers);
}

/** unreadableError says that the upstream's answer is not one of the API. */
export function unreadableError({ words }: OutcomeOf<'unreadable'>, said: Said): OpenAiError {
  return new OpenAiError(
    502,
    {
      message: `The upstream at ${said.baseUrl} answered POST ${said.path} with something that is no JSON object: ${words}.`,
      type: 'server_error',
      code: 'upstream_unreadable',
    },
    retryHeaders(said, true),
  );
}

/** brokenError says that no answer came: 504 when the time was up, else 502. */
export function brokenError(
  { isSent, isLate, words }: OutcomeOf<'broken'>,
  { timeoutMs, ...said }: Said & { timeoutMs: number },
): OpenAiError {
  const { baseUrl, path, isBought } = said;
  const paid = isBought && isSent ? ' It may have been paid for.' : '';
  if (isLate) {
    const message = `The upstream at ${baseUrl} did not answer POST ${path} within ${timeoutMs / 1000} s.${paid}`;
    return new OpenAiError(
      504,
      { message, type: 'server_error', code: 'upstream_timeout' },
      retryHeaders(said, isSent),
    );
  }
  const what = isSent ? 'broke off before its answer had come' : 'could not be reached';
  const message = `The upstream at ${baseUrl} ${what}: ${words}.${paid}`;
  return new OpenAiError(
    502,
    { message, type: 'server_error', code: 'upstream_unreachable' },
    retryHeaders(said, isSent),
  );
}

/** OpenAI's SDKs send a call again after a 5xx. A call that may have been paid for is left to the caller. */
function retryHeaders({ isBought }: Said, isSent: boolean): Record<string, string> {
  return isBought && isSent ? DO_NOT_RETRY : {};
}
