import { TerminalError } from '../../../src/errors/failure.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { endFrom, outcomeOf } from '../../../worker/attempt/outcome.ts';

const PRICING = { prices: createPriceList({ prices: {} }) };

describe('endFrom', () => {
  it('returns an answer that was cut short, with the reason', () => {
    expect(
      endFrom(
        { id: 'r', status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
        PRICING,
      ),
    ).toMatchObject({
      status: 'completed',
      summary: { incomplete_reason: 'max_output_tokens', answer_preview: null, usage: null },
    });
  });

  it('prices the answer by the model and the tier that the response names', () => {
    const response = {
      id: 'r',
      status: 'completed',
      model: 'o3-2025-04-16',
      service_tier: 'flex',
      usage: { input_tokens: 1000, input_tokens_details: { cached_tokens: 400 }, output_tokens: 500 },
    };
    expect(endFrom(response, PRICING)).toMatchObject({
      summary: { cost_usd: 0.0027, service_tier: 'flex' },
      spent: {
        responseId: 'r',
        cost: { nano: 2_700_000 },
        usage: { cached_tokens: 400, cache_write_tokens: 0 },
      },
    });
  });

  it.each([
    // 2 instead of 2 dollars for input, 10 instead of 8 for output.
    ['gpt-6.1-sol', 'o3', 0.001],
    ['o3', 'gpt-6.1-sol', -0.001],
    ['gpt-6.1-sol', 'gpt-6.2-sol', 0],
    ['gpt-6.1-sol', 'a-model-without-a-price', null],
    ['a-model-without-a-price', 'o3', null],
    ['gpt-6.1-sol', null, null],
  ])('says what the answer of %s costs more than that of %s would: %s', (model, from, extra) => {
    const usage = { input_tokens: 1000, output_tokens: 500 };
    const end = endFrom({ id: 'r', status: 'completed', model, usage }, PRICING, { fallbackFrom: from });
    expect(end).toMatchObject({ summary: { fallback_from: from, fallback_extra_usd: extra } });
  });

  it('returns an answer when a server sends no status', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'Yes.' }] }];
    expect(endFrom({ id: 'r', output }, PRICING)).toMatchObject({
      status: 'completed',
      summary: {
        answer_preview: 'Yes.',
        upstream_model: 'unknown',
        fallback_from: null,
        fallback_extra_usd: null,
        incomplete_reason: null,
        refusal: null,
      },
    });
  });

  it.each([
    ['server_error', 'response_failed', true],
    ['vector_store_timeout', 'response_failed', true],
    ['something_new', 'response_failed', true],
    ['rate_limit_exceeded', 'rate_limited', true],
    ['insufficient_quota', 'quota_exhausted', true],
    ['invalid_prompt', 'response_refused', false],
    ['image_too_large', 'response_refused', false],
    ['bio_policy', 'response_refused', false],
  ])('is a failure for %s: %s, retryable: %s', (code, expected, retryable) => {
    let thrown: unknown;
    try {
      endFrom({ id: 'r', status: 'failed', error: { code, message: 'because' } }, PRICING);
    } catch (error: unknown) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: expected, retryable, message: `${code}: because` });
  });

  it('fails without a reason, too', () => {
    expect(() => endFrom({ id: 'r', status: 'failed', error: null }, PRICING)).toThrow(
      'unknown: the upstream gave no reason',
    );
  });

  it('fails when the response was cancelled at the upstream', () => {
    expect(() => endFrom({ id: 'r', status: 'cancelled' }, PRICING)).toThrow(TerminalError);
  });
});

describe('outcomeOf', () => {
  it('returns what the record says', () => {
    const summary = {
      usage: null,
      ...{ cost_usd: null, list_usd: null, saved_usd: null, cost_estimated: false },
      simulated: false,
      service_tier: null,
      answer_preview: '',
      upstream_model: 'o3',
      fallback_from: null,
      fallback_extra_usd: null,
      incomplete_reason: null,
      refusal: null,
    };
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
