// LangChain.
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { SCHEMA, WEATHER, weather } from './shared.mjs';

export default function createClient({ url, api }) {
  const model = (more = {}) =>
    new ChatOpenAI({
      model: 'o3',
      useResponsesApi: api === 'responses',
      apiKey: 'any',
      configuration: { baseURL: url },
      ...more,
    });
  const told = ({ text, usage_metadata: usage }) => ({ text, tokens: usage?.total_tokens });
  const whole = (chat, messages) => chat.invoke(messages);
  const inParts = async (chat, messages, deltas = []) => {
    let sum;
    for await (const chunk of await chat.stream(messages)) {
      if (chunk.text !== '') deltas.push(chunk.text);
      sum = sum === undefined ? chunk : sum.concat(chunk);
    }
    return sum;
  };
  const loopWith = async (question, ask) => {
    const chat = model().bindTools([{ type: 'function', function: WEATHER }]);
    const messages = [new HumanMessage(question)];
    const called = [];
    for (;;) {
      const answer = await ask(chat, messages);
      if ((answer.tool_calls ?? []).length === 0) return { ...told(answer), called };
      messages.push(new AIMessage(answer));
      for (const { id, args, name: tool } of answer.tool_calls) {
        called.push(args);
        messages.push(new ToolMessage({ tool_call_id: id, name: tool, content: weather(args) }));
      }
    }
  };
  return {
    text: async (question) => told(await model().invoke(question)),
    stream: async (question) => {
      const deltas = [];
      return { ...told(await inParts(model(), question, deltas)), deltas };
    },
    loop: (question) => loopWith(question, whole),
    streamedLoop: (question) => loopWith(question, inParts),
    structured: (question) => model().withStructuredOutput(SCHEMA, { name: 'answer' }).invoke(question),
    refused: (question) => model({ modelKwargs: { metadata: { sim: '400' } } }).invoke(question),
  };
}
