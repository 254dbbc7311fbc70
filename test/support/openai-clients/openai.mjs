// The official SDK, by its package's name: `openai` is version 7, `openai6` version 6.
import { SCHEMA, WEATHER, weather } from './shared.mjs';

export const createOf =
  (modules) =>
  ({ url, api }) => {
    const client = new modules.OpenAI({ baseURL: url, apiKey: 'any', logLevel: 'off' });
    return api === 'responses' ? responses(client, modules) : chat(client, modules);
  };

function responses(client, { zodTextFormat }) {
  const body = (question, more = {}) => ({ model: 'o3', input: question, ...more });
  const tools = [{ type: 'function', ...WEATHER, strict: true }];
  const loopWith = async (question, turn) => {
    const input = [{ role: 'user', content: question }];
    const called = [];
    for (;;) {
      const { output, output_text: text, usage } = await turn({ model: 'o3', input, tools });
      const calls = output.filter(({ type }) => type === 'function_call');
      if (calls.length === 0) return { text, called, tokens: usage.total_tokens };
      input.push(...output);
      for (const { call_id, arguments: json } of calls) {
        called.push(JSON.parse(json));
        input.push({ type: 'function_call_output', call_id, output: weather(JSON.parse(json)) });
      }
    }
  };
  return {
    text: async (question) => {
      const { output_text: text, usage, id } = await client.responses.create(body(question));
      return { text, tokens: usage.total_tokens, id };
    },
    stream: async (question) => {
      const deltas = [];
      const stream = client.responses.stream(body(question));
      for await (const event of stream)
        if (event.type === 'response.output_text.delta') deltas.push(event.delta);
      const { output_text: text, usage, id } = await stream.finalResponse();
      return { text, deltas, tokens: usage.total_tokens, id };
    },
    loop: (question) => loopWith(question, (request) => client.responses.create(request)),
    streamedLoop: (question) =>
      loopWith(question, (request) => client.responses.stream(request).finalResponse()),
    structured: async (question) => {
      const format = zodTextFormat(SCHEMA, 'answer');
      return (await client.responses.parse(body(question, { text: { format } }))).output_parsed;
    },
    refused: (question) => client.responses.create(body(question, { metadata: { sim: '400' } })),
  };
}

function chat(client, { zodResponseFormat }) {
  const body = (question, more = {}) => ({
    model: 'o3',
    messages: [{ role: 'user', content: question }],
    ...more,
  });
  const loopWith = async (question, options) => {
    const called = [];
    const run = (args) => {
      called.push(args);
      return weather(args);
    };
    const tool = { type: 'function', function: { ...WEATHER, parse: JSON.parse, function: run } };
    const runner = client.chat.completions.runTools({ ...body(question), tools: [tool], ...options });
    return { text: await runner.finalContent(), called, tokens: (await runner.totalUsage()).total_tokens };
  };
  return {
    text: async (question) => {
      const { choices, usage, id } = await client.chat.completions.create(body(question));
      return { text: choices[0].message.content, tokens: usage.total_tokens, id };
    },
    stream: async (question) => {
      const deltas = [];
      const stream = client.chat.completions.stream({
        ...body(question),
        stream_options: { include_usage: true },
      });
      for await (const { choices } of stream)
        if (choices[0]?.delta.content) deltas.push(choices[0].delta.content);
      const { choices, usage, id } = await stream.finalChatCompletion();
      return { text: choices[0].message.content, deltas, tokens: usage.total_tokens, id };
    },
    loop: (question) => loopWith(question, {}),
    streamedLoop: (question) => loopWith(question, { stream: true, stream_options: { include_usage: true } }),
    structured: async (question) => {
      const response_format = zodResponseFormat(SCHEMA, 'answer');
      const { choices } = await client.chat.completions.parse(body(question, { response_format }));
      return choices[0].message.parsed;
    },
    refused: (question) => client.chat.completions.create(body(question, { metadata: { sim: '400' } })),
  };
}
