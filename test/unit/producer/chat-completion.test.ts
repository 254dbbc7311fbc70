import { chatCompletionOf } from '../../../producer/v1/chat/chat-completion.ts';
import { chatFailureOf } from '../../../producer/v1/chat/chat-failure.ts';
import type { Refusal } from '../../../src/errors/failure.ts';
import type { JobView } from '../../../src/job/view.ts';
import {
  annotated,
  call,
  customCall,
  message,
  reasoning,
  refusal,
} from '../../support/openai/streamed-items.ts';

const HEX = '0123456789abcdef0123456789abcdef';
const job = { id: `job_${HEX}`, model: 'o3', created_at: '2026-11-29T12:00:00.500Z', status: 'completed' };
const usage = {
  ...{ input_tokens: 10, output_tokens: 20, total_tokens: 30 },
  input_tokens_details: { cached_tokens: 4, cache_write_tokens: 3 },
  output_tokens_details: { reasoning_tokens: 12 },
};
const completionOf = (response: object) =>
  chatCompletionOf(job as JobView, {
    id: 'resp_upstream',
    status: 'completed',
    model: 'o3-2025-04-16',
    ...response,
  });
const answerTo = (...output: object[]) => completionOf({ output });
const incomplete = (reason: string, ...output: object[]) =>
  completionOf({ status: 'incomplete', incomplete_details: { reason }, output }).choices[0];

const logprob = { token: 'Noon', bytes: [78], logprob: -0.1, top_logprobs: [] };
const withPhase = (phase: string, text: string) => ({ ...message(`msg_${phase}`, text), phase });

describe('a response as a chat completion', () => {
  it('has the digits of its job, the model that answered, and the usage', () => {
    expect(completionOf({ output: [reasoning('rs_1', ['Hm.']), message('msg_1', 'Noon.')], usage })).toEqual({
      id: `chatcmpl-${HEX}`,
      object: 'chat.completion',
      created: Date.parse('2026-11-29T12:00:00Z') / 1000,
      model: 'o3-2025-04-16',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Noon.', refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        ...{ prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
        prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 3, audio_tokens: 0 },
        completion_tokens_details: {
          ...{ reasoning_tokens: 12, audio_tokens: 0 },
          ...{ accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
        },
      },
    });
  });

  it('has the tier, the metadata and the moderation if the response has them', () => {
    const extras = { service_tier: 'flex', metadata: { a: 'b' }, moderation: { input: {}, output: {} } };
    expect(completionOf({ output: [], ...extras })).toMatchObject(extras);
    const none = completionOf({
      output: [],
      service_tier: null,
      metadata: {},
      moderation: null,
      usage: null,
    });
    expect(Object.keys(none)).toEqual(['object', 'id', 'created', 'model', 'choices']);
  });

  it.each<[string, object[], object]>([
    ['an answer', [message('msg_1', 'Noon.')], { content: 'Noon.', refusal: null }],
    [
      'an answer in two messages',
      [message('msg_1', 'No'), message('msg_2', 'on.')],
      { content: 'Noon.', refusal: null },
    ],
    [
      'commentary before a final answer',
      [withPhase('commentary', 'Let me see.'), withPhase('final_answer', 'Noon.')],
      { content: 'Noon.', refusal: null },
    ],
    ['only commentary', [withPhase('commentary', 'Let me see.')], { content: 'Let me see.', refusal: null }],
    ['a refusal', [refusal('msg_1', 'I will not.')], { content: null, refusal: 'I will not.' }],
    ['nothing', [reasoning('rs_1', [])], { content: '', refusal: null }],
    ['only a call', [call('fc_1', 'now', '{}')], { content: null, refusal: null }],
    [
      'a text beside a call',
      [message('msg_1', 'Let me see.'), call('fc_1', 'now', '{}')],
      { content: 'Let me see.', refusal: null },
    ],
    [
      'items of the server’s tools',
      [{ id: 'ws_1', type: 'web_search_call' }],
      { content: '', refusal: null },
    ],
  ])('has the text of %s', (_name, output, expected) => {
    const [choice] = answerTo(...output).choices;
    expect(choice?.message).toMatchObject({ role: 'assistant', annotations: [], ...expected });
  });

  it('has the calls of tools by their call ids, and says that it ended with them', () => {
    const output = [call('fc_1', 'now', '{"zone":"UTC"}'), customCall('ctc_1', 'free', 'hm')];
    expect(answerTo(...output).choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        tool_calls: [
          { id: 'call_fc_1', type: 'function', function: { name: 'now', arguments: '{"zone":"UTC"}' } },
          { id: 'call_ctc_1', type: 'custom', custom: { name: 'free', input: 'hm' } },
        ],
      },
    });
    expect(answerTo(message('msg_1', 'Noon.')).choices[0]?.message).not.toHaveProperty('tool_calls');
  });

  it('has calls that the upstream has given no ids by ids of their own', () => {
    const calls = answerTo({ type: 'function_call', name: 'now', arguments: '{}' }).choices[0];
    expect(calls?.message.tool_calls).toMatchObject([{ id: `fc_${HEX}_0`, function: { name: 'now' } }]);
  });

  it('has the citations of URLs, counted from the beginning of the whole text', () => {
    const output = annotated('msg_1', 'here', ['https://example.org']);
    expect(answerTo(output).choices[0]?.message).toMatchObject({
      content: 'Look: here',
      annotations: [
        {
          type: 'url_citation',
          url_citation: {
            ...{ url: 'https://example.org', title: 'https://example.org' },
            ...{ start_index: 6, end_index: 9 },
          },
        },
      ],
    });
  });

  it('has the probabilities of its tokens', () => {
    const part = { type: 'output_text', text: 'Noon', annotations: [], logprobs: [logprob] };
    const output = { ...message('msg_1', ''), content: [part] };
    expect(answerTo(output).choices[0]?.logprobs).toEqual({ content: [logprob], refusal: null });
  });

  it.each([
    ['max_output_tokens', 'length'],
    ['content_filter', 'content_filter'],
    ['of_next_year', 'length'],
  ])('that was stopped by %s has the reason %s, the text so far and the usage', (reason, expected) => {
    expect(incomplete(reason, message('msg_1', 'Noo'))).toMatchObject({
      finish_reason: expected,
      message: { content: 'Noo' },
    });
    expect(incomplete(reason)).toMatchObject({ finish_reason: expected, message: { content: '' } });
  });
});

describe('a job without an answer', () => {
  const failed = (code: string, own?: Partial<Refusal>) => {
    const error = { code, message: 'It failed.', retryable: false };
    const refused: Refusal | undefined = own && {
      code: null,
      type: null,
      message: 'No.',
      param: null,
      ...own,
    };
    return chatFailureOf({
      job: { ...job, status: 'failed', error } as unknown as JobView,
      refusal: refused,
    });
  };
  it.each<[string, Partial<Refusal> | undefined, number, object]>([
    ['upstream_overloaded', { status: 503, code: 'busy' }, 503, { message: 'No.', code: 'busy' }],
    [
      'invalid_request',
      { status: 400, code: 'invalid_value', type: 'invalid_request_error', param: 'input' },
      400,
      { code: 'invalid_value', type: 'invalid_request_error', param: 'input' },
    ],
    ['wrong_address', { status: 200 }, 500, { code: 'wrong_address', type: 'server_error' }],
    ['rate_limited', { code: 'rate_limit_exceeded' }, 429, { code: 'rate_limit_exceeded', type: 'requests' }],
    [
      'quota_exhausted',
      undefined,
      429,
      { message: 'It failed.', code: 'insufficient_quota', type: 'insufficient_quota' },
    ],
    ['response_refused', { code: 'invalid_prompt' }, 400, { code: 'invalid_prompt', param: null }],
    ['not_found', undefined, 404, { code: 'not_found', type: 'invalid_request_error' }],
    ['response_cancelled', undefined, 409, { code: 'response_cancelled' }],
    ['timeout', undefined, 504, { code: 'timeout', type: 'server_error' }],
    ['deadline_passed', undefined, 504, { code: 'deadline_passed' }],
    ['response_failed', { code: 'server_error' }, 500, { code: 'server_error', type: 'server_error' }],
    ['constructor', undefined, 500, { code: 'constructor' }],
  ])('that failed with %s (the upstream: %j) is a %i', (code, own, status, envelope) => {
    const headers = { 'x-should-retry': 'false' };
    expect(failed(code, own)).toMatchObject({ status, envelope, headers });
  });

  it('that was cancelled is a 409', () => {
    const cancelled = { ...job, status: 'cancelled' } as JobView;
    expect(chatFailureOf({ job: cancelled, refusal: undefined })).toMatchObject({ status: 409 });
  });
});
