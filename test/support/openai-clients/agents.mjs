// OpenAI's Agents SDK. It would send traces to OpenAI, with the key of its client: they are switched off.
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool,
} from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { SCHEMA, WEATHER, weather } from './shared.mjs';

setTracingDisabled(true);

export default function createClient({ url, api }) {
  const client = new OpenAI({ baseURL: url, apiKey: 'any', logLevel: 'off' });
  const model =
    api === 'responses'
      ? new OpenAIResponsesModel(client, 'o3')
      : new OpenAIChatCompletionsModel(client, 'o3');
  const agent = (more = {}) => new Agent({ name: 'agent', instructions: 'Be brief.', model, ...more });
  const toldBy = (result) => ({ text: result.finalOutput, tokens: result.state.usage.totalTokens });
  const withTool = () => {
    const called = [];
    const execute = (args) => {
      called.push(args);
      return weather(args);
    };
    const parameters = z.object({ city: z.string() });
    const tools = [tool({ name: WEATHER.name, description: WEATHER.description, parameters, execute })];
    return { called, agent: agent({ tools }) };
  };
  const streamed = async (one, question) => {
    const result = await run(one, question, { stream: true });
    const deltas = [];
    for await (const delta of result.toTextStream()) deltas.push(delta);
    await result.completed;
    return { ...toldBy(result), deltas };
  };
  return {
    text: async (question) => toldBy(await run(agent(), question)),
    stream: (question) => streamed(agent(), question),
    loop: async (question) => {
      const { agent: one, called } = withTool();
      return { ...toldBy(await run(one, question)), called };
    },
    streamedLoop: async (question) => {
      const { agent: one, called } = withTool();
      return { ...(await streamed(one, question)), called };
    },
    structured: async (question) => (await run(agent({ outputType: SCHEMA }), question)).finalOutput,
    refused: (question) =>
      run(agent({ modelSettings: { providerData: { metadata: { sim: '400' } } } }), question),
  };
}
