import { chatRequestFrom } from '../../../producer/v1/chat/chat-request.ts';
import { OpenAiError } from '../../../producer/v1/openai-error.ts';
import { parseExact, stringifyExact } from '../../../src/job/exact-json.ts';

const messages = [{ role: 'user', content: 'Why?' }];
const input = [{ type: 'message', role: 'user', content: 'Why?' }];
const bodyOf = (more: object) => chatRequestFrom({ model: 'o3', messages, ...more }).body;
const itemsOf = (...list: object[]) => chatRequestFrom({ model: 'o3', messages: list }).body['input'];
const refusalOf = (chat: Record<string, unknown>): OpenAiError => {
  try {
    chatRequestFrom(chat);
  } catch (error: unknown) {
    if (error instanceof OpenAiError) return error;
    throw error;
  }
  throw new Error('expected a refusal');
};

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

describe('messages as input items', () => {
  const call = (id: string) => ({ id, type: 'function', function: { name: 'now', arguments: '{}' } });
  const breakpoint = { prompt_cache_breakpoint: { mode: 'explicit' } };

  it('stay in their order, with system and developer messages in place', () => {
    const parts = [
      { type: 'text', text: 'Look', ...breakpoint },
      { type: 'image_url', image_url: { url: 'https://example.org/a.png' } },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,aaaa', detail: 'low' }, ...breakpoint },
      { type: 'file', file: { file_id: 'file-1' } },
      { type: 'file', file: { file_data: 'data:application/pdf;base64,aaaa', filename: 'a.pdf' } },
    ];
    expect(
      itemsOf(
        { role: 'system', content: 'Be brief.', name: 'dropped' },
        { role: 'user', content: parts },
        { role: 'developer', content: [{ type: 'text', text: 'Be briefer.' }] },
      ),
    ).toEqual([
      { type: 'message', role: 'system', content: 'Be brief.' },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'Look', ...breakpoint },
          { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'auto' },
          { type: 'input_image', image_url: 'data:image/png;base64,aaaa', detail: 'low', ...breakpoint },
          { type: 'input_file', file_id: 'file-1' },
          { type: 'input_file', file_data: 'data:application/pdf;base64,aaaa', filename: 'a.pdf' },
        ],
      },
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Be briefer.' }] },
    ]);
  });

  it('have the text of an answer, then its calls, then their outputs', () => {
    const custom = { id: 'call_3', type: 'custom', custom: { name: 'free', input: 'hm' } };
    expect(
      itemsOf(
        { role: 'assistant', content: 'Let me see.', tool_calls: [call('call_1'), call('call_2'), custom] },
        { role: 'tool', tool_call_id: 'call_2', content: '', name: 'dropped' },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'noon' }] },
        { role: 'tool', tool_call_id: 'call_3', content: 'ok' },
      ),
    ).toEqual([
      {
        ...{ type: 'message', role: 'assistant' },
        content: [{ type: 'output_text', text: 'Let me see.', annotations: [] }],
      },
      { type: 'function_call', call_id: 'call_1', name: 'now', arguments: '{}' },
      { type: 'function_call', call_id: 'call_2', name: 'now', arguments: '{}' },
      { type: 'custom_tool_call', call_id: 'call_3', name: 'free', input: 'hm' },
      { type: 'function_call_output', call_id: 'call_2', output: '' },
      { type: 'function_call_output', call_id: 'call_1', output: [{ type: 'input_text', text: 'noon' }] },
      { type: 'custom_tool_call_output', call_id: 'call_3', output: 'ok' },
    ]);
  });

  it.each([null, '', undefined, []])('have no text of an answer whose content is %j', (content) => {
    expect(itemsOf({ role: 'assistant', content, tool_calls: [call('call_1')] })).toEqual([
      { type: 'function_call', call_id: 'call_1', name: 'now', arguments: '{}' },
    ]);
  });

  it('have the texts of an answer joined, and its refusal', () => {
    const content = [
      { type: 'text', text: 'Well, ' },
      { type: 'text', text: 'no.' },
      { type: 'refusal', refusal: 'I will not.' },
    ];
    const parts = [
      { type: 'output_text', text: 'Well, no.', annotations: [] },
      { type: 'refusal', refusal: 'I will not.' },
    ];
    const message = { type: 'message', role: 'assistant', content: parts };
    expect(itemsOf({ role: 'assistant', content })).toEqual([message]);
    const split = { role: 'assistant', content: content.slice(0, 2), refusal: 'I will not.' };
    expect(itemsOf(split)).toEqual([message]);
  });

  it('may have the output of a call in a stored response', () => {
    const output = [{ role: 'tool', tool_call_id: 'call_before', content: 'ok' }];
    expect(chatRequestFrom({ messages: output, previous_response_id: 'resp_1' }).body['input']).toEqual([
      { type: 'function_call_output', call_id: 'call_before', output: 'ok' },
    ]);
  });
});

describe('what cannot be carried is refused by name', () => {
  const user = (part: object) => ({ messages: [{ role: 'user', content: [part] }] });
  it.each<[string, object]>([
    ['n', { n: 2 }],
    ['stop', { stop: 'END' }],
    ['stop', { stop: ['END'] }],
    ['logit_bias', { logit_bias: { 50256: -100 } }],
    ['frequency_penalty', { frequency_penalty: 0.5 }],
    ['presence_penalty', { presence_penalty: -1 }],
    ['prediction', { prediction: { type: 'content', content: 'x' } }],
    ['audio', { audio: { voice: 'ash', format: 'mp3' } }],
    ['modalities', { modalities: ['text', 'audio'] }],
    ['web_search_options', { web_search_options: {} }],
    ['functions', { functions: [{ name: 'now' }] }],
    ['function_call', { function_call: 'auto' }],
    [
      'messages[0].content[0].input_audio',
      user({ type: 'input_audio', input_audio: { data: '', format: 'wav' } }),
    ],
    ['messages[0].role', { messages: [{ role: 'function', name: 'now', content: 'noon' }] }],
    ['messages[0].audio', { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }],
    [
      'messages[0].function_call',
      { messages: [{ role: 'assistant', function_call: { name: 'now', arguments: '' } }] },
    ],
  ])('%s in %j', (param, chat) => {
    expect(refusalOf({ messages, ...chat })).toMatchObject({
      status: 400,
      envelope: {
        ...{ param, code: 'unsupported_parameter', type: 'invalid_request_error' },
        message: expect.stringContaining(`\`${param}\` cannot be carried to the Responses API`),
      },
    });
  });

  it.each(['input', 'instructions', 'background', 'of_next_year', '__proto__', 'constructor'])(
    'the unknown parameter %s',
    (name) => {
      const chat = JSON.parse(`{"messages":[],"${name}":{}}`) as Record<string, unknown>;
      expect(refusalOf(chat)).toMatchObject({
        status: 400,
        envelope: { param: name, code: 'unknown_parameter' },
      });
    },
  );
});

describe('what is not understood is refused with its place', () => {
  const parts = (...content: unknown[]) => ({ messages: [{ role: 'user', content }] });
  const answer = (more: object) => ({ messages: [{ role: 'assistant', ...more }] });
  it.each<[string, object]>([
    ['messages', { messages: undefined }],
    ['messages', { messages: [] }],
    ['messages', { messages: 'Why?' }],
    ['messages', { messages: [{ role: 'assistant', content: '' }] }],
    ['messages[0]', { messages: ['Why?'] }],
    ['messages[0]', { messages: [null] }],
    ['messages[0].role', { messages: [{ content: 'Why?' }] }],
    ['messages[0].role', { messages: [{ role: '__proto__', content: 'Why?' }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    ['messages[0].content', { messages: [{ role: 'user', content: 7 }] }],
    ['messages[0].content[0]', parts('Why?')],
    ['messages[0].content[0].type', parts({ type: 'video_url' })],
    ['messages[0].content[0].text', parts({ type: 'text' })],
    [
      'messages[0].content[0].image_url',
      parts({ type: 'image_url', image_url: 'https://example.org/a.png' }),
    ],
    ['messages[0].content[0].image_url.url', parts({ type: 'image_url', image_url: {} })],
    ['messages[0].content[1].file', parts({ type: 'text', text: '' }, { type: 'file' })],
    [
      'messages[0].content[0].type',
      { messages: [{ role: 'system', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
    ],
    ['messages[0].content', answer({ content: 7 })],
    ['messages[0].content[0].type', answer({ content: [{ type: 'image_url' }] })],
    ['messages[0].refusal', answer({ refusal: {} })],
    ['messages[0].tool_calls', answer({ tool_calls: {} })],
    ['messages[0].tool_calls[0].id', answer({ tool_calls: [{ type: 'function', function: { name: 'a' } }] })],
    ['messages[0].tool_calls[0].type', answer({ tool_calls: [{ id: 'a', type: 'mcp' }] })],
    ['messages[0].tool_calls[0].function', answer({ tool_calls: [{ id: 'a', type: 'function' }] })],
    [
      'messages[0].tool_calls[0].function.arguments',
      answer({ tool_calls: [{ id: 'a', type: 'function', function: { name: 'a', arguments: {} } }] }),
    ],
    ['messages[0].tool_call_id', { messages: [{ role: 'tool', content: '' }] }],
    ['messages[0].tool_call_id', { messages: [{ role: 'tool', tool_call_id: 'call_1', content: '' }] }],
    ['max_tokens', { max_tokens: '100' }],
    ['max_tokens', { max_tokens: 0 }],
    ['max_completion_tokens', { max_completion_tokens: 1.5 }],
    ['stream', { stream: 'yes' }],
    ['stream_options', { stream_options: true }],
    ['stream_options.include_usage', { stream_options: { include_usage: 1 } }],
    ['logprobs', { logprobs: 'yes' }],
    ['include', { include: 'reasoning' }],
    ['reasoning', { reasoning: 'high' }],
    ['response_format', { response_format: 'json' }],
    ['response_format.type', { response_format: { type: 'xml' } }],
    ['response_format.json_schema', { response_format: { type: 'json_schema' } }],
    ['response_format.json_schema.name', { response_format: { type: 'json_schema', json_schema: {} } }],
    ['tools', { tools: {} }],
    ['tools[0]', { tools: [null] }],
    ['tools[0].type', { tools: [{ type: 'web_search' }] }],
    ['tools[0].function', { tools: [{ type: 'function', name: 'now' }] }],
    ['tools[0].function.name', { tools: [{ type: 'function', function: {} }] }],
    ['tools[0].custom.format', { tools: [{ type: 'custom', custom: { name: 'a', format: 'lark' } }] }],
    ['tool_choice', { tool_choice: 7 }],
    ['tool_choice.type', { tool_choice: { type: 'mcp' } }],
    ['tool_choice.function', { tool_choice: { type: 'function', name: 'now' } }],
    ['tool_choice.allowed_tools', { tool_choice: { type: 'allowed_tools' } }],
    ['tool_choice.allowed_tools.tools', { tool_choice: { type: 'allowed_tools', allowed_tools: {} } }],
  ])('%s in %j', (param, chat) => {
    expect(refusalOf({ messages, ...chat })).toMatchObject({ status: 400, envelope: { param } });
  });
});
