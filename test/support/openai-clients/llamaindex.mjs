// LlamaIndex. Its time limit of 60 seconds is too short for a slow model.
import { tool } from '@llamaindex/core/tools';
import { OpenAI, OpenAIResponses } from '@llamaindex/openai';
import { z } from 'zod';
import { SCHEMA, WEATHER, weather } from './shared.mjs';

export default function createClient({ url, api }) {
  const Model = api === 'responses' ? OpenAIResponses : OpenAI;
  const model = (more = {}) =>
    new Model({ model: 'o3', apiKey: 'any', baseURL: url, timeout: 3_600_000, ...more });
  const asked = (content) => [{ role: 'user', content }];
  const isText = ({ type }) => type === undefined || type === 'response.output_text.delta';
  const tokensOf = ({ raw }) => (raw?.usage ?? raw?.response?.usage)?.total_tokens;
  const loopWith = async (question, turn) => {
    const called = [];
    const execute = (args) => {
      called.push(args);
      return weather(args);
    };
    const parameters = z.object({ city: z.string() });
    const tools = [tool({ name: WEATHER.name, description: WEATHER.description, parameters, execute })];
    const messages = asked(question);
    for (;;) {
      const { newMessages, toolCalls } = await turn({ messages, tools });
      messages.push(...newMessages);
      if (toolCalls.length === 0) return { text: messages.at(-1).content, called };
    }
  };
  const streamedByExec = async (params) => {
    const { stream, newMessages, toolCalls } = await model().exec({ ...params, stream: true });
    for await (const _ of stream);
    return { newMessages: newMessages(), toolCalls };
  };
  // In a stream of Responses, `exec` misses the calls: it looks for them in the first event, response.created.
  const streamedByHand = async ({ messages, tools }) => {
    const calls = new Map();
    let text = '';
    for await (const { delta, raw, options } of await model().chat({ messages, tools, stream: true })) {
      if (delta && isText(raw)) text += delta;
      for (const call of options.toolCall ?? []) calls.set(call.id, call);
    }
    const toolCalls = [...calls.values()];
    const newMessages = [
      { role: 'assistant', content: text, options: toolCalls.length > 0 ? { toolCall: toolCalls } : {} },
    ];
    for (const { id, name, input } of toolCalls) {
      const result = await tools.find(({ metadata }) => metadata.name === name).call(input);
      newMessages.push({
        role: 'user',
        content: result,
        options: { toolResult: { id, result, isError: false } },
      });
    }
    return { newMessages, toolCalls };
  };
  return {
    text: async (question) => {
      const answer = await model().chat({ messages: asked(question) });
      return { text: answer.message.content, tokens: tokensOf(answer) };
    },
    stream: async (question) => {
      const deltas = [];
      let last;
      for await (const chunk of await model().chat({ messages: asked(question), stream: true })) {
        // LlamaIndex repeats the last delta with each event after it.
        if (chunk.delta && isText(chunk.raw)) deltas.push(chunk.delta);
        last = chunk;
      }
      return { text: deltas.join(''), deltas, tokens: tokensOf(last) };
    },
    loop: (question) => loopWith(question, (params) => model().exec(params)),
    streamedLoop: (question) => loopWith(question, api === 'responses' ? streamedByHand : streamedByExec),
    // It makes a tool of the schema, which a real model is told to call by its description.
    structured: async (question) =>
      (await model().exec({ messages: asked(`${question} Call format_output.`), responseFormat: SCHEMA }))
        .object,
    refused: (question) =>
      model({ additionalChatOptions: { metadata: { sim: '400' } } }).chat({ messages: asked(question) }),
  };
}
