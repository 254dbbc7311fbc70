// The AI SDK against the instance at argv[2]; prints what came of it as JSON.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, streamText, tool } from 'ai';

const openai = createOpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'any' });
const model = openai.responses('o3');
const asking = (prompt, metadata = {}) => ({ model, prompt, providerOptions: { openai: { metadata } } });
const caught = (promise) =>
  promise.then(
    () => null,
    ({ name, message, statusCode }) => ({ name, message, statusCode }),
  );

const generated = await generateText(asking('Generated?', { sim_think_ms: '1000' }));

const streamed = streamText(asking('Streamed?', { sim_think_ms: '1000', sim_deltas: '30' }));
const deltas = [];
for await (const delta of streamed.textStream) deltas.push(delta);

const weather = tool({
  description: 'The weather in a city.',
  inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }),
});
const called = await generateText({
  ...asking('Weather?'),
  tools: { weather },
  toolChoice: { type: 'tool', toolName: 'weather' },
});
const calledInStream = streamText({
  ...asking('Weather, streamed?'),
  tools: { weather },
  toolChoice: { type: 'tool', toolName: 'weather' },
});
await calledInStream.consumeStream();

const errors = [];
const failing = streamText({
  ...asking('Fail, streamed?', { sim: 'failed', sim_code: 'invalid_prompt' }),
  onError: ({ error }) => errors.push(String(error.message ?? error)),
});
await failing.consumeStream();

console.log(
  JSON.stringify({
    generated: {
      text: generated.text,
      finishReason: generated.finishReason,
      totalTokens: generated.usage.totalTokens,
      responseId: generated.response.id,
    },
    streamed: {
      deltas,
      text: await streamed.text,
      finishReason: await streamed.finishReason,
      totalTokens: (await streamed.usage).totalTokens,
    },
    called: called.toolCalls.map(({ toolName, input }) => ({ toolName, input })),
    calledInStream: (await calledInStream.toolCalls).map(({ toolName, input }) => ({ toolName, input })),
    refused: await caught(generateText(asking('Refused?', { sim: '400' }))),
    failed: await caught(generateText(asking('Fail?', { sim: 'failed', sim_code: 'invalid_prompt' }))),
    failedInStream: errors,
  }),
);
