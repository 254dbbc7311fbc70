import {
  FAILURE_CODES,
  failureFromRefusal,
  failureFromResponseError,
  isFailure,
  RetryableError,
  TerminalError,
  type UpstreamRefusal,
} from '../../../src/errors/failure.ts';

const refusal = (status: number | undefined, more: Partial<UpstreamRefusal> = {}): UpstreamRefusal => ({
  ...{
    status,
    code: null,
    type: null,
    param: null,
    message: 'as the upstream says',
    retryAfterMs: undefined,
  },
  ...more,
});

it.each([
  [400, 'invalid_request', false],
  [401, 'authentication', true],
  [402, 'quota_exhausted', true],
  [403, 'permission', true],
  [404, 'wrong_address', true],
  [405, 'wrong_address', true],
  [408, 'upstream_error', true],
  [409, 'conflict', true],
  [413, 'request_too_large', false],
  [422, 'invalid_request', false],
  [429, 'rate_limited', true],
  [500, 'upstream_error', true],
  [502, 'upstream_error', true],
  [503, 'upstream_overloaded', true],
  [504, 'upstream_error', true],
  [498, 'upstream_overloaded', true],
  [499, 'upstream_error', true],
  [529, 'upstream_overloaded', true],
  [307, 'wrong_address', true],
])('a refusal with %i is %s, retryable: %s', (status, code, retryable) => {
  const failure = failureFromRefusal(refusal(status, { retryAfterMs: 1234 }));
  expect(failure).toMatchObject({
    code,
    retryable,
    message: `the upstream answered ${status}: as the upstream says`,
  });
  expect(failure).toBeInstanceOf(retryable ? RetryableError : TerminalError);
  // The upstream knows best when to come back, and nobody else may invent it.
  expect('retryAfterMs' in failure ? failure.retryAfterMs : undefined).toBe(retryable ? 1234 : undefined);
});

it.each([
  [429, { code: 'insufficient_quota' }],
  [429, { type: 'insufficient_quota' }],
  [429, { code: 'credit_balance_exhausted' }],
  [403, { code: 'project_spend_limit_exceeded' }],
  [500, { code: 'organization_usage_limit_exceeded' }],
  [undefined, { code: 'organization_spend_limit_exceeded' }],
])('a code that means no money is quota_exhausted with any status: %p %j', (status, more) => {
  expect(failureFromRefusal(refusal(status, more))).toMatchObject({
    code: 'quota_exhausted',
    retryable: true,
  });
});

it('the code model_not_found decides, not the status', () => {
  for (const status of [400, 404, undefined]) {
    expect(failureFromRefusal(refusal(status, { code: 'model_not_found' }))).toMatchObject({
      code: 'model_not_found',
      retryable: true,
    });
  }
});

it('a failure’s message has the status and the upstream’s own code', () => {
  expect(failureFromRefusal(refusal(400, { code: 'unknown_parameter' })).message).toBe(
    'the upstream answered 400 unknown_parameter: as the upstream says',
  );
});

it.each([
  ['server_error', 'response_failed', true],
  ['rate_limit_exceeded', 'rate_limited', true],
  ['insufficient_quota', 'quota_exhausted', true],
  ['model_not_found', 'model_not_found', true],
  ['invalid_api_key', 'permission', true],
  ['unsupported_country_region_territory', 'permission', true],
  ['invalid_prompt', 'response_refused', false],
  ['bio_policy', 'response_refused', false],
  ['image_content_policy_violation', 'response_refused', false],
  ['unsupported_image_media_type', 'response_refused', false],
  ['something_of_next_year', 'response_failed', true],
])('a response that failed with %s is %s, retryable: %s', (code, expected, retryable) => {
  const failure = failureFromResponseError({ code, message: 'why' });
  expect(failure).toMatchObject({ code: expected, retryable, message: `${code}: why` });
  expect(failureFromRefusal(refusal(undefined, { code, message: 'why' })).code).toBe(expected);
});

it('every code is terminal or retryable, and its errors say the same', () => {
  expect(new TerminalError('timeout', 'x')).toMatchObject({ retryable: false, name: 'TerminalError' });
  expect(new RetryableError('stalled', 'x')).toMatchObject({ retryable: true, retryAfterMs: undefined });
  expect(new Set(Object.values(FAILURE_CODES))).toEqual(new Set(['terminal', 'retryable']));
  expect([new TerminalError('timeout', 'x'), new RetryableError('stalled', 'x')].every(isFailure)).toBe(true);
  expect([new Error('x'), undefined, { code: 'timeout', retryable: false }].some(isFailure)).toBe(false);
});

it('a failure keeps its cause', () => {
  const cause = new Error('socket hang up');
  expect(new RetryableError('connection_lost', 'x', { cause }).cause).toBe(cause);
  expect(new TerminalError('internal_error', 'x', { cause }).cause).toBe(cause);
});
