import { chatRequestFrom } from '../../../producer/v1/chat/chat-request.ts';
import { parseExact, stringifyExact } from '../../../src/job/exact-json.ts';

const messages = [{ role: 'user', content: 'Why?' }];
const input = [{ type: 'message', role: 'user', content: 'Why?' }];
const bodyOf = (more: object) => chatRequestFrom({ model: 'o3', messages, ...more }).body;
const WEATHER = { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } };
const GRAMMAR = { definition: 'start: "a"', syntax: 'lark' };
const SCHEMA = { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties: {} };
const wanted = 'message.output_text.logprobs';

describe('a body of Chat Completions as one of the Responses API', () => {
  it.each<[string, object, object]>([
    ['its messages', {}, {}],
    ['max_completion_tokens', { max_completion_tokens: 100 }, { max_output_tokens: 100 }],
    ['max_tokens', { max_tokens: 200 }, { max_output_tokens: 200 }],
    ['both limits', { max_tokens: 200, max_completion_tokens: 100 }, { max_output_tokens: 100 }],
    ['the limit of a health check', { max_tokens: 1 }, { max_output_tokens: 16 }],
    ['reasoning_effort', { reasoning_effort: 'of next year' }, { reasoning: { effort: 'of next year' } }],
    [
      'reasoning beside reasoning_effort',
      { reasoning_effort: 'low', reasoning: { effort: 'high', summary: 'auto' } },
      { reasoning: { effort: 'high', summary: 'auto' } },
    ],
    ['verbosity', { verbosity: 'low' }, { text: { verbosity: 'low' } }],
    ['a format of text', { response_format: { type: 'text' } }, { text: { format: { type: 'text' } } }],
    [
      'a format of JSON, and verbosity',
      { response_format: { type: 'json_object' }, verbosity: 'high' },
      { text: { format: { type: 'json_object' }, verbosity: 'high' } },
    ],
    [
      'a format with a schema',
      {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 's', description: 'd', schema: SCHEMA, strict: true },
        },
      },
      {
        text: { format: { type: 'json_schema', name: 's', description: 'd', schema: SCHEMA, strict: true } },
      },
    ],
    [
      'a format with only a name',
      { response_format: { type: 'json_schema', json_schema: { name: 's' } } },
      { text: { format: { type: 'json_schema', name: 's', schema: {}, strict: false } } },
    ],
    [
      'a function',
      { tools: [{ type: 'function', function: { ...WEATHER, description: 'd', strict: true } }] },
      { tools: [{ type: 'function', ...WEATHER, description: 'd', strict: true }] },
    ],
    [
      'a function of only a name',
      { tools: [{ type: 'function', function: { name: 'now' } }] },
      {
        tools: [
          { type: 'function', name: 'now', parameters: { type: 'object', properties: {} }, strict: false },
        ],
      },
    ],
    [
      'custom tools',
      {
        tools: [
          { type: 'custom', custom: { name: 'free' } },
          { type: 'custom', custom: { name: 'text', description: 'd', format: { type: 'text' } } },
          { type: 'custom', custom: { name: 'lark', format: { type: 'grammar', grammar: GRAMMAR } } },
        ],
      },
      {
        tools: [
          { type: 'custom', name: 'free' },
          { type: 'custom', name: 'text', description: 'd', format: { type: 'text' } },
          { type: 'custom', name: 'lark', format: { type: 'grammar', ...GRAMMAR } },
        ],
      },
    ],
    ['a choice in a word', { tool_choice: 'required' }, { tool_choice: 'required' }],
    [
      'the choice of a function',
      { tool_choice: { type: 'function', function: { name: 'now' } } },
      { tool_choice: { type: 'function', name: 'now' } },
    ],
    [
      'the choice of a custom tool',
      { tool_choice: { type: 'custom', custom: { name: 'free' } } },
      { tool_choice: { type: 'custom', name: 'free' } },
    ],
    [
      'allowed tools',
      {
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: {
            mode: 'auto',
            tools: [
              { type: 'function', function: { name: 'now' } },
              { type: 'custom', custom: { name: 'free' } },
            ],
          },
        },
      },
      {
        tool_choice: {
          type: 'allowed_tools',
          mode: 'auto',
          tools: [
            { type: 'function', name: 'now' },
            { type: 'custom', name: 'free' },
          ],
        },
      },
    ],
    [
      'what both APIs have',
      { ...{ temperature: 0.5, top_p: 0.1, metadata: { a: 'b' }, user: 'u' }, service_tier: 'flex' },
      { ...{ temperature: 0.5, top_p: 0.1, metadata: { a: 'b' }, user: 'u' }, service_tier: 'flex' },
    ],
    [
      'what both APIs have, too',
      {
        parallel_tool_calls: false,
        safety_identifier: 's',
        prompt_cache_key: 'k',
        prompt_cache_retention: '24h',
      },
      {
        parallel_tool_calls: false,
        safety_identifier: 's',
        prompt_cache_key: 'k',
        prompt_cache_retention: '24h',
      },
    ],
    [
      'the newest ones of both',
      { prompt_cache_options: { ttl: '1h' }, moderation: { model: 'm' } },
      { prompt_cache_options: { ttl: '1h' }, moderation: { model: 'm' } },
    ],
    ['logprobs', { logprobs: true }, { include: [wanted], top_logprobs: 0 }],
    [
      'logprobs beside include',
      { logprobs: true, top_logprobs: 3, include: ['reasoning.encrypted_content', wanted] },
      { include: ['reasoning.encrypted_content', wanted], top_logprobs: 3 },
    ],
    ['no logprobs', { logprobs: false, top_logprobs: 3 }, {}],
    ['store: false', { store: false }, { store: false }],
    ['store: true, which means something else', { store: true }, {}],
    [
      'fields of the Responses API',
      { previous_response_id: 'resp_1', truncation: 'auto', max_tool_calls: 3, include: ['a'] },
      { previous_response_id: 'resp_1', truncation: 'auto', max_tool_calls: 3, include: ['a'] },
    ],
    ['seed, which is ignored', { seed: 7 }, {}],
    [
      'what asks for nothing',
      { n: 1, stop: [], logit_bias: {}, frequency_penalty: 0, presence_penalty: 0, modalities: ['text'] },
      {},
    ],
    [
      'nulls',
      { n: null, stop: null, tools: null, temperature: null, functions: null, of_next_year: null },
      {},
    ],
  ])('has %s', (_name, chat, expected) => {
    expect(bodyOf(chat)).toEqual({ model: 'o3', input, ...expected });
  });

  it('keeps the digits of numbers', () => {
    const chat = parseExact(
      '{"messages":[{"role":"user","content":"Why?"}],"n":1.0,"frequency_penalty":0.0,"max_tokens":20.0,"temperature":1.0}',
    );
    const { body } = chatRequestFrom(chat as Record<string, unknown>);
    expect(stringifyExact(body)).toContain('"temperature":1.0');
    expect(body).toMatchObject({ max_output_tokens: 20 });
  });

  it('says how the call is answered', () => {
    const usage = { stream_options: { include_usage: true, include_obfuscation: false } };
    expect(chatRequestFrom({ messages })).toMatchObject({ isStreamed: false, includesUsage: false });
    const streamed = chatRequestFrom({ messages, stream: true, ...usage });
    expect(streamed).toMatchObject({ isStreamed: true, includesUsage: true });
    expect(streamed.body).toEqual({ stream: true, input });
  });
});
