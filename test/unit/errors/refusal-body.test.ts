import { APIError } from 'openai';
import { refusalBodyFrom } from '../../../src/errors/refusal-body.ts';
import { failureFromSdk, refusalInAnswer } from '../../../worker/upstream/errors.ts';

describe('the words of a refusal', () => {
  it.each<[number, object | string, string]>([
    [
      422,
      { detail: [{ loc: ['body', 'x'], msg: 'too small' }, { msg: 'too late' }] },
      'x: too small; too late',
    ],
    [400, { detail: 'no' }, 'no'],
    [400, { error: 'plain' }, 'plain'],
    [400, { success: false, errors: [{ code: 7003, message: 'no route' }] }, 'no route'],
    [400, { title: 'Bad', status: 400 }, 'Bad'],
    [400, { code: 40001, msg: 'wrong top_p' }, 'wrong top_p'],
    [
      400,
      {
        error: {
          message: 'Provider returned error',
          metadata: { raw: '{"error":{"message":"too large: 999"}}', provider_name: 'OpenAI' },
        },
      },
      'Provider returned error: too large: 999',
    ],
    [
      502,
      { error: { message: 'Provider returned error', metadata: { raw: 'busy' } } },
      'Provider returned error: busy',
    ],
    [400, 'just text', 'just text'],
    [500, '', 'it gave no reason'],
    [
      502,
      '<html><head><title>502 Bad\nGateway</title><script>x</script></head></html>',
      'a web page: 502 Bad Gateway',
    ],
    [
      502,
      `<html><body><style>p{}</style><p>Sorry</p>${'<br>'.repeat(9000)}</body></html>`,
      'a web page: Sorry',
    ],
  ])('%d %j says: %s', (_status, body, words) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    expect(refusalBodyFrom(text, '').message).toBe(words);
  });

  it('are bounded', () => {
    const refused = APIError.generate(
      400,
      { error: { message: 'x'.repeat(100_000) } },
      undefined,
      new Headers(),
    );
    expect(failureFromSdk(refused)?.message.length).toBeLessThan(1100);
  });
});

describe('the other fields of a refusal', () => {
  it.each<[object, object | undefined]>([
    [{ error: { message: 'no', code: 'x' } }, undefined],
    [
      { error: { message: 'no', status: 'FAILED', details: [{ a: 1 }] } },
      { status: 'FAILED', details: [{ a: 1 }] },
    ],
    [{ error: 'no', code: 'x', request_id: 'r' }, { request_id: 'r' }],
    [{ detail: [{ loc: ['body', 'x'], msg: 'no' }] }, { detail: [{ loc: ['body', 'x'], msg: 'no' }] }],
    [
      { error: { message: 'no', headers: { a: 'b' }, inner: [{ api_key: 'k', b: 1 }] } },
      { inner: [{ b: 1 }] },
    ],
    [{ error: { message: 'no', 'x-api-key': 'k', request_headers: {} } }, undefined],
    [{ error: { message: 'no', long: 'x'.repeat(20_000), short: 1 } }, { short: 1 }],
  ])('of %j are %j', (body, more) => {
    expect(refusalBodyFrom(JSON.stringify(body), '').more).toEqual(more);
  });
});

describe('a 200 that is no response', () => {
  it.each([
    ['{"error": {"message": "Insufficient credits", "code": 402}}', 'application/json', 'quota_exhausted'],
    [
      '{"error": {"message": "No such key", "type": "AuthenticationError"}}',
      'application/json',
      'authentication',
    ],
    [
      '{"object": "error", "message": "The model `x` does not exist.", "code": 404}',
      'application/json',
      'not_found',
    ],
    ['{"detail": "top_p must be below 1"}', 'application/json', 'invalid_request'],
    ['{"error_code": 336003, "error_msg": "the prompt is too short"}', 'application/json', 'invalid_request'],
    ['{"status": "error", "message": "wrong top_p"}', 'application/json', 'invalid_request'],
    ['{"success": false, "message": "Insufficient balance"}', 'application/json', 'quota_exhausted'],
    ['{"code": 401, "msg": "invalid token", "data": null}', 'application/json', 'authentication'],
    ['{"error": "Unexpected endpoint or method. (POST /responses)"}', 'application/json', 'wrong_address'],
    ['{"message": "pong"}', 'application/json', 'wrong_address'],
    ['{}', 'application/json', 'wrong_address'],
    ['<!doctype html><title>Log in</title>', 'text/html', 'wrong_address'],
    ['It works!', 'text/plain', 'wrong_address'],
  ])('%s as %s is judged by what it says: %s', (body, type, code) => {
    expect(refusalInAnswer(body, type, 'o3')).toMatchObject({ code });
  });

  it.each(['', '{"id": "resp_1", "stat', '{"choices": []}', '{"output": []}'])(
    'may be the answer of a purchase when it is %j',
    (body) => expect(refusalInAnswer(body, 'application/json', 'o3')).toBeUndefined(),
  );
});
