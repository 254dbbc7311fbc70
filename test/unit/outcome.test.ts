import { TerminalError } from '../../src/failure.ts';
import { endFrom, outcomeOf } from '../../worker/outcome.ts';

describe('the end of a response', () => {
  it('is an answer, with its reason when it was cut short', () => {
    expect(
      endFrom({ id: 'r', status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }),
    ).toMatchObject({
      status: 'completed',
      summary: { incomplete_reason: 'max_output_tokens', answer_preview: '', usage: null },
    });
  });

  it('is an answer when a server says nothing of a status', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }];
    expect(endFrom({ id: 'r', output })).toMatchObject({
      status: 'completed',
      summary: { answer_preview: 'Yes.', upstream_model: 'unknown', incomplete_reason: null },
    });
  });

  it.each([
    ['server_error', 'response_failed', true],
    ['vector_store_timeout', 'response_failed', true],
    ['something_new', 'response_failed', true],
    ['rate_limit_exceeded', 'rate_limited', true],
    ['insufficient_quota', 'quota_exhausted', false],
    ['invalid_prompt', 'response_refused', false],
    ['image_too_large', 'response_refused', false],
    ['bio_policy', 'response_refused', false],
  ])('is a failure for %s: %s, retryable: %s', (code, expected, retryable) => {
    let thrown: unknown;
    try {
      endFrom({ id: 'r', status: 'failed', error: { code, message: 'because' } });
    } catch (error: unknown) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: expected, retryable, message: `${code}: because` });
  });

  it('is a failure without a reason, too', () => {
    expect(() => endFrom({ id: 'r', status: 'failed', error: null })).toThrow(
      'unknown: the upstream gave no reason',
    );
  });

  it('is a failure when somebody else has cancelled it', () => {
    expect(() => endFrom({ id: 'r', status: 'cancelled' })).toThrow(TerminalError);
  });
});

describe('the outcome', () => {
  it('is what stands in the record', () => {
    const summary = { usage: null, answer_preview: '', upstream_model: 'o3', incomplete_reason: null };
    const error = { code: 'timeout', message: 'too long', retryable: false };
    expect(outcomeOf('completed', { summary, error: undefined })).toEqual({ kind: 'completed', summary });
    expect(outcomeOf('failed', { summary: undefined, error })).toEqual({
      kind: 'failed',
      code: 'timeout',
      message: 'too long',
    });
    expect(outcomeOf('cancelled', { summary, error })).toEqual({ kind: 'cancelled' });
    expect(outcomeOf('completed', { summary: undefined, error: undefined })).toMatchObject({
      kind: 'failed',
      code: 'internal_error',
    });
  });
});
