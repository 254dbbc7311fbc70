// A model that follows a script, behind the part of the Responses API that an agent needs, on loopback. It stands for
// the agent's own model, so that a loop of tools runs without a paid one. The slow model is asked through o3-queue.
import { createServer } from 'node:http';

const TOKENS = { input_tokens_details: { cached_tokens: 0 }, output_tokens_details: { reasoning_tokens: 0 } };
const USAGE = { input_tokens: 1, output_tokens: 1, total_tokens: 2, ...TOKENS };

/** What the tools have returned so far, by their names. */
function outputsIn(items) {
  const calls = items.filter(({ type }) => type === 'function_call');
  const outputOf = ({ call_id: id }) => {
    const { output } = items.find((item) => item.type === 'function_call_output' && item.call_id === id);
    return typeof output === 'string' ? output : output.map(({ text }) => text).join('\n');
  };
  return Object.fromEntries(calls.map((call) => [call.name, outputOf(call)]));
}

function itemOf({ call, args, say }, turn, tools) {
  if (call === undefined) {
    const content = [{ type: 'output_text', text: say, annotations: [] }];
    return { type: 'message', id: `msg_${turn}`, role: 'assistant', status: 'completed', content };
  }
  // Codex puts the tools of a server into a namespace.
  const namespace = tools.find((tool) => tool.tools?.some(({ name }) => name === call))?.name;
  const named = {
    name: call,
    ...(namespace !== undefined && { namespace }),
    arguments: JSON.stringify(args),
  };
  return { type: 'function_call', id: `fc_${turn}`, call_id: `call_${turn}`, status: 'completed', ...named };
}

/**
 * @param turns one function for each turn. It gets what the tools have returned so far, by their names, and returns
 * `{call, args}` or `{say}`.
 * @returns the base URL.
 */
export async function startScriptedModel(turns) {
  const server = createServer(async (request, response) => {
    const {
      input,
      model,
      stream,
      tools = [],
    } = JSON.parse(Buffer.concat(await request.toArray()).toString());
    const items = typeof input === 'string' ? [] : input;
    const turn = items.filter(({ type }) => type === 'function_call').length;
    const item = itemOf(turns[turn](outputsIn(items)), turn, tools);
    const whole = {
      id: `resp_${turn}`,
      object: 'response',
      created_at: 0,
      model,
      status: 'completed',
      output: [item],
    };
    const answer = { ...whole, usage: USAGE };
    if (stream !== true)
      return response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    response.setHeader('content-type', 'text/event-stream');
    for (const event of [
      { type: 'response.created', response: { ...answer, status: 'in_progress', output: [] } },
      { type: 'response.output_item.added', output_index: 0, item },
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response: answer },
    ]) {
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    }
    return response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}/v1`;
}
