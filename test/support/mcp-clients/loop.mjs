// An agent of OpenAI's Agents SDK that asks o3 over MCP, works on, comes back and uses the answer.
// argv: the URL of an instance. Prints its transcript as JSON: a line for each call of a tool, and its last words.
import {
  Agent,
  MCPServerStreamableHttp,
  OpenAIResponsesModel,
  run,
  setTracingDisabled,
  tool,
} from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { startScriptedModel } from './scripted-model.mjs';
import { idIn, print } from './shared.mjs';

setTracingDisabled(true);
const question = 'Two workers renew one lease. Why does it expire twice?';
const baseURL = await startScriptedModel([
  () => ({
    call: 'ask_o3',
    args: { question, context: 'lease.ts: renew() reads the clock of its own machine.' },
  }),
  () => ({ call: 'run_tests', args: { path: 'test/lease' } }),
  ({ ask_o3: told }) => ({ call: 'check_o3_status', args: { id: idIn(told) } }),
  () => ({ call: 'write_file', args: { path: 'NOTES.md', text: 'The tests of the lease pass.' } }),
  ({ ask_o3: told }) => ({ call: 'get_o3_result', args: { id: idIn(told), wait_s: 50 } }),
  ({ get_o3_result: told }) => ({ say: `o3 says: ${told.split('\n\n[')[0]}` }),
]);

const transcript = [];
const local = (name, parameters, execute) =>
  tool({ name, description: name, parameters: z.object(parameters), execute });
const tools = [
  local('run_tests', { path: z.string() }, ({ path }) => `${path}: 12 passed`),
  local('write_file', { path: z.string(), text: z.string() }, ({ path }) => `${path} is written`),
];
const o3 = new MCPServerStreamableHttp({ name: 'loop-agent', url: new URL('/mcp', process.argv[2]).href });
await o3.connect();
const model = new OpenAIResponsesModel(new OpenAI({ baseURL, apiKey: 'none' }), 'scripted');
const agent = new Agent({ name: 'coder', instructions: 'Fix the lease.', model, tools, mcpServers: [o3] });
agent.on('agent_tool_end', (_context, { name }, result, { toolCall }) => {
  transcript.push({ tool: name, args: JSON.parse(toolCall.arguments), result: textIn(result) });
});
const { finalOutput } = await run(agent, 'Fix the lease.', { maxTurns: 20 });
print({ transcript, finalOutput });
process.exit(0);

/** The text that the SDK has shown the model. */
function textIn(result) {
  try {
    return [JSON.parse(result)]
      .flat()
      .map(({ text }) => text)
      .join('\n');
  } catch {
    return result;
  }
}
