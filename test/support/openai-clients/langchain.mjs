// LangChain against the instance at argv[2]; prints what came of it as JSON.
import { ChatOpenAI } from '@langchain/openai';

const modelFor = (metadata = {}) =>
  new ChatOpenAI({
    model: 'o3',
    useResponsesApi: true,
    apiKey: 'any',
    configuration: { baseURL: `${process.argv[2]}/v1` },
    modelKwargs: { metadata },
  });
const caught = (promise) =>
  promise.then(
    () => null,
    ({ name, message, status }) => ({ name, message, status }),
  );
const callOf = ({ tool_calls: [call] }) => ({ name: call?.name, args: call?.args });
const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const invoked = await modelFor({ sim_think_ms: '1000' }).invoke('Invoked?');

const deltas = [];
let streamed;
for await (const chunk of await modelFor({ sim_think_ms: '1000', sim_deltas: '30' }).stream('Streamed?')) {
  if (chunk.text !== '') deltas.push(chunk.text);
  streamed = streamed === undefined ? chunk : streamed.concat(chunk);
}

const withTools = modelFor().bindTools([weather], { tool_choice: 'weather' });
let calledInStream;
for await (const chunk of await withTools.stream('Weather, streamed?')) {
  calledInStream = calledInStream === undefined ? chunk : calledInStream.concat(chunk);
}

console.log(
  JSON.stringify({
    invoked: {
      text: invoked.text,
      totalTokens: invoked.usage_metadata?.total_tokens,
      responseId: invoked.response_metadata.id,
      status: invoked.response_metadata.status,
    },
    streamed: { deltas, text: streamed.text, totalTokens: streamed.usage_metadata?.total_tokens },
    called: callOf(await withTools.invoke('Weather?')),
    calledInStream: callOf(calledInStream),
    refused: await caught(modelFor({ sim: '400' }).invoke('Refused?')),
    failed: await caught(modelFor({ sim: 'failed', sim_code: 'invalid_prompt' }).invoke('Fail?')),
  }),
);
