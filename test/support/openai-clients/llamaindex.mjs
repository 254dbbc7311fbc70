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
    // It makes a tool of the schema, which a real model is told to call by its description.
    structured: async (question) =>
      (await model().exec({ messages: asked(`${question} Call format_output.`), responseFormat: SCHEMA }))
        .object,
    refused: (question) =>
      model({ additionalChatOptions: { metadata: { sim: '400' } } }).chat({ messages: asked(question) }),
  };
}
