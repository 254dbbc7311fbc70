// The AI SDK of Vercel.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, isStepCount, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { SCHEMA, WEATHER, weather } from './shared.mjs';

const stopAfter = isStepCount ?? stepCountIs;

export default function createClient({ url, api }) {
  const openai = createOpenAI({ baseURL: url, apiKey: 'any' });
  const model = api === 'responses' ? openai.responses('o3') : openai.chat('o3');
  const asking = (question, more = {}) => ({ model, prompt: question, ...more });
  const withTool = () => {
    const called = [];
    const execute = (args) => {
      called.push(args);
      return weather(args);
    };
    const inputSchema = z.object({ city: z.string() });
    const tools = { weather: tool({ description: WEATHER.description, inputSchema, execute }) };
    return { called, options: { tools, stopWhen: stopAfter(5) } };
  };
  const told = async ({ text, totalUsage, usage }) => ({
    text: await text,
    tokens: (await (totalUsage ?? usage)).totalTokens,
  });
  const streamed = async (request) => {
    const errors = [];
    const result = streamText({ ...request, onError: ({ error }) => errors.push(error) });
    const deltas = [];
    for await (const delta of result.textStream) deltas.push(delta);
    if (errors.length > 0) throw errors[0];
    return { ...(await told(result)), deltas };
  };
  return {
    text: async (question) => told(await generateText(asking(question))),
    stream: (question) => streamed(asking(question)),
    loop: async (question) => {
      const { called, options } = withTool();
      return { ...(await told(await generateText(asking(question, options)))), called };
    },
    streamedLoop: async (question) => {
      const { called, options } = withTool();
      return { ...(await streamed(asking(question, options))), called };
    },
    structured: async (question) =>
      (await generateText(asking(question, { output: Output.object({ schema: SCHEMA }) }))).output,
    refused: (question) =>
      generateText(asking(question, { providerOptions: { openai: { metadata: { sim: '400' } } } })),
  };
}
