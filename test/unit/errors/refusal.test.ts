import { APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError } from 'openai';
import { RetryableError } from '../../../src/errors/failure.ts';
import {
  ConnectionBrokenError,
  failureFromSdk,
  refusesBackground,
  upstreamWaitMs,
} from '../../../worker/upstream/errors.ts';

const refused = (status: number | undefined, error: object, headers: Record<string, string> = {}): APIError =>
  APIError.generate(status, { error }, undefined, new Headers(headers));
const headers = (fields: Record<string, string>): number | undefined => upstreamWaitMs(new Headers(fields));

describe('a refusal by the upstream', () => {
  it.each<[string, unknown, string, boolean]>([
    ['400', refused(400, { message: 'no', code: 'invalid_value' }), 'invalid_request', false],
    ['401', refused(401, { message: 'no' }), 'authentication', true],
    ['403', refused(403, { message: 'no' }), 'permission', true],
    ['404', refused(404, { message: 'no' }), 'wrong_address', true],
    ['404 thing', refused(404, { message: "No file 'file-1'", param: 'input' }), 'not_found', false],
    ['404 model', refused(404, { message: 'no', code: 'model_not_found' }), 'model_not_found', true],
    ['409', refused(409, { message: 'no' }), 'conflict', true],
    ['422', refused(422, { message: 'no' }), 'invalid_request', false],
    ['429', refused(429, { message: 'no', type: 'requests' }), 'rate_limited', true],
    ['429 money', refused(429, { message: 'no', type: 'insufficient_quota' }), 'quota_exhausted', true],
    ['429 too large', refused(429, { message: 'Request too large for o3' }), 'request_too_large', false],
    [
      '429 balance',
      refused(429, { message: 'no', code: 'credit_balance_exhausted' }),
      'quota_exhausted',
      true,
    ],
    ['500', refused(500, { message: 'no' }), 'upstream_error', true],
    ['503', refused(503, { message: 'no' }), 'upstream_overloaded', true],
    [
      'an error event',
      new APIError(undefined, { code: 'server_error' }, 'no', undefined),
      'response_failed',
      true,
    ],
    ['no connection', new APIConnectionError({ cause: new Error('ECONNREFUSED') }), 'connection_lost', true],
    ['no answer', new APIConnectionTimeoutError(), 'connection_lost', true],
    ['a cut body', new ConnectionBrokenError('other side closed'), 'connection_lost', true],
    ['no JSON', new SyntaxError('Unexpected token <'), 'upstream_error', true],
    ['half an object', new TypeError("reading 'output'"), 'upstream_error', true],
  ])('%s becomes the right failure', (_name, error, code, retryable) => {
    expect(failureFromSdk(error)).toMatchObject({ code, retryable });
  });

  it.each([
    ['mismatched_organization', 'OpenAI-Organization header should match organization for API key'],
    ['invalid_project', 'No such project: proj_x'],
  ])('%s is the fault of a job that names its own account, and else of the key', (code, message) => {
    const error = refused(401, { message, code });
    expect(failureFromSdk(error, { hasOwnAccount: true })).toMatchObject({ code: 'invalid_request' });
    expect(failureFromSdk(error)).toMatchObject({ code: 'authentication' });
  });

  it('a wrong key concerns every job, also one that names its own account', () => {
    const error = refused(401, { message: 'Incorrect API key provided', code: 'invalid_api_key' });
    expect(failureFromSdk(error, { hasOwnAccount: true })).toMatchObject({ code: 'authentication' });
  });

  it('is not made from our own abort', () => {
    expect(failureFromSdk(new APIUserAbortError())).toBeUndefined();
  });

  it('is not converted twice', () => {
    const failure = new RetryableError('stalled', 'asleep');
    expect(failureFromSdk(failure)).toBe(failure);
  });

  it('keeps the upstream’s message, and the innermost cause of a lost connection', () => {
    const cause = new Error('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:9') });
    expect(failureFromSdk(new APIConnectionError({ cause }))?.message).toBe(
      'The upstream could not be reached: connect ECONNREFUSED 127.0.0.1:9',
    );
    expect(failureFromSdk(refused(400, { message: 'Too big.', code: 'too_big' }))?.message).toBe(
      'the upstream answered 400 too_big: Too big.',
    );
  });

  it('does not keep a whole page of HTML', () => {
    const page = APIError.generate(502, undefined, `<html>${'x'.repeat(100_000)}`, new Headers());
    expect(failureFromSdk(page)?.message.length).toBeLessThan(600);
  });
});

describe('a request that cannot be sent', () => {
  it.each([
    'Headers.append: "Bearer a\nb" is an invalid header value.',
    'Cannot convert argument to a ByteString because the character at index 10 has a value of 1089',
  ])('counts as unreachable: %j', (message) => {
    const error = new TypeError(message);
    expect(failureFromSdk(error)).toMatchObject({ code: 'connection_lost', retryable: true });
  });
});

describe('retry-after', () => {
  it('is read in milliseconds, in seconds, or as a date', () => {
    expect(headers({ 'retry-after-ms': '1500', 'retry-after': '9' })).toBe(1500);
    expect(headers({ 'retry-after': '2.5' })).toBe(2500);
    const inAMinute = headers({ 'retry-after': new Date(Date.now() + 60_000).toUTCString() });
    expect(inAMinute).toBeGreaterThan(58_000);
    expect(inAMinute).toBeLessThanOrEqual(60_000);
  });

  it('is undefined when the header is missing or unreadable', () => {
    expect(upstreamWaitMs(undefined)).toBeUndefined();
    expect(headers({})).toBeUndefined();
    expect(headers({ 'retry-after': 'soon' })).toBeUndefined();
  });

  it('is kept between 0 and an hour', () => {
    expect(headers({ 'retry-after': '-5' })).toBe(0);
    expect(headers({ 'retry-after': '99999999' })).toBe(3_600_000);
  });
});

describe('a server without a background mode', () => {
  it.each([
    [400, { message: 'no', param: 'background' }],
    [400, { message: 'This server does not support `store=True`.' }],
    [422, { message: 'Unknown field: background' }],
    [501, { message: 'background is not implemented' }],
  ])('is recognised by %d %j', (status, error) => {
    expect(refusesBackground(refused(status, error))).toBe(true);
  });

  it.each([
    [400, { message: 'The input was bad', param: 'input' }],
    [401, { message: 'background?', param: 'background' }],
    [500, { message: 'The background worker died' }],
    [400, { message: "Unknown vector_store 'x'" }],
  ])('is not suspected because of %d %j', (status, error) => {
    expect(refusesBackground(refused(status, error))).toBe(false);
  });

  it('is not suspected because of an error that is no refusal', () => {
    expect(refusesBackground(new Error('background'))).toBe(false);
  });
});
