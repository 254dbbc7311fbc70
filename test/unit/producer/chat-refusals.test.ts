import { chatRequestFrom } from '../../../producer/v1/chat/chat-request.ts';
import { OpenAiError } from '../../../producer/v1/openai-error.ts';

const messages = [{ role: 'user', content: 'Why?' }];
const refusalOf = (chat: Record<string, unknown>): OpenAiError => {
  try {
    chatRequestFrom(chat);
  } catch (error: unknown) {
    if (error instanceof OpenAiError) return error;
    throw error;
  }
  throw new Error('expected a refusal');
};

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

  it('a schema beside the format json_object, which OpenAI refuses too', () => {
    const response_format = { type: 'json_object', schema: { type: 'object' } };
    expect(refusalOf({ messages, response_format })).toMatchObject({
      status: 400,
      envelope: { param: 'response_format.schema', code: 'unknown_parameter' },
    });
  });
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
