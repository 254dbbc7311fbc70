import type { ReplyHeaders } from '../api/errors.ts';
import { integerField, objectField, requireKnown, stringField } from '../api/fields.ts';

/**
 * OddReply is an answer to a create that some server or proxy sends instead of a response. Nothing is bought.
 */
export type OddReply = {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  readonly headers?: ReplyHeaders;
};

/** GivenReply is an odd reply as a caller writes it: a status with one of `json`, `html` and `text`. */
export type GivenReply = {
  readonly status: number;
  readonly json?: unknown;
  readonly html?: string;
  readonly text?: string;
  readonly headers?: ReplyHeaders;
};

/** ODD_REPLIES are the create faults that answer as other servers and proxies do, by the fault's name. */
export const ODD_REPLIES = {
  '401': error(
    401,
    'Incorrect API key provided: sk-****. You can find your key in your account.',
    'invalid_api_key',
  ),
  '401_organization': error(
    401,
    'OpenAI-Organization header should match organization for API key',
    'mismatched_organization',
  ),
  '402': error(402, 'Insufficient credits. Add more credits and try again.', 402),
  '400_billing': error(400, 'Billing hard limit has been reached', 'billing_hard_limit_reached'),
  '403_html': page(403, '403 Forbidden'),
  '404_path': json(404, { detail: 'Not Found' }),
  '400_busy': error(
    400,
    'Another process is currently operating on this conversation. Please retry in a few seconds.',
    'conversation_locked',
    'conversation',
  ),
  '422_detail': json(422, {
    detail: [
      { loc: ['body', 'max_output_tokens'], msg: 'value must be larger than 15', type: 'value_error' },
    ],
  }),
  '429_large': error(
    429,
    'litellm.RateLimitError: OpenAIException - Request too large on tokens per min (TPM): Limit 30000, Requested 36055.',
    'rate_limit_exceeded',
  ),
  '429_hour': {
    ...error(429, 'Please retry after 3600 seconds', 'rate_limit_exceeded'),
    headers: { 'retry-after': '3600' },
  },
  '429_zero': { ...error(429, 'slow down', 'rate_limit_exceeded'), headers: { 'retry-after': '0' } },
  '498': error(498, 'Flex tier capacity exceeded, please try again later', 'flex_capacity'),
  '200_error': json(200, {
    object: 'error',
    message: 'No such file',
    type: 'BadRequestError',
    param: null,
    code: 400,
  }),
  '200_html': page(200, 'Log in'),
} as const satisfies Record<string, OddReply>;

export type OddReplyName = keyof typeof ODD_REPLIES;
export const ODD_REPLY_NAMES = Object.keys(ODD_REPLIES) as readonly OddReplyName[];

const GIVEN_FIELDS = ['status', 'json', 'html', 'text', 'headers'];

/** readReply checks a reply that a caller has written. */
export function readReply(given: unknown): OddReply {
  const body = requireKnown(given, GIVEN_FIELDS);
  const headers = Object.fromEntries(
    Object.entries(objectField(body, 'headers') ?? {}).map(([name, value]) => [name, String(value)]),
  );
  const status = integerField(body, 'status', 200, 599) ?? 400;
  const html = stringField(body, 'html');
  if (html !== undefined) return { status, contentType: 'text/html', text: html, headers };
  const text = stringField(body, 'text');
  if (text !== undefined) return { status, contentType: 'text/plain', text, headers };
  return { ...json(status, body['json'] ?? {}), headers };
}

function error(
  status: number,
  message: string,
  code: string | number,
  param: string | null = null,
): OddReply {
  return json(status, { error: { message, type: 'invalid_request_error', param, code } });
}

function json(status: number, body: unknown): OddReply {
  return { status, contentType: 'application/json', text: JSON.stringify(body) };
}

function page(status: number, title: string): OddReply {
  const text = `<html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`;
  return { status, contentType: 'text/html', text };
}
