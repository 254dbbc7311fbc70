// `claude -p`, which asks o3 over MCP, works on, comes back and uses the answer. Its own model follows a script, behind
// the part of Anthropic's Messages API that it needs, on loopback.
// argv: the URL of an instance. Prints its transcript as JSON: a line for each call of a tool, and its last words.
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { idIn, print } from './shared.mjs';

const [url] = process.argv.slice(2);
const TURNS = [
  () => ({
    name: 'mcp__o3__ask_o3',
    input: { question: 'Two workers renew one lease. Why does it expire twice?' },
  }),
  () => ({
    name: 'Bash',
    input: {
      command: 'echo "The tests of the lease pass." > NOTES.md && cat NOTES.md',
      description: 'Write notes',
    },
  }),
  (told) => ({ name: 'mcp__o3__get_o3_result', input: { id: idIn(told[0]), wait_s: 50 } }),
  (told) => ({ text: `o3 says: ${told[2].split('\n\n[')[0]}` }),
];
const textOf = (content) =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('\n');
const server = createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString();
  const { messages = [], tools = [], model, stream } = body === '' ? {} : JSON.parse(body);
  const told = messages
    .flatMap(({ content }) => (Array.isArray(content) ? content : []))
    .flatMap((part) => (part.type === 'tool_result' ? [textOf(part.content)] : []));
  const turn = tools.length === 0 ? { text: 'Lease' } : TURNS[told.length](told);
  const isCall = 'name' in turn;
  const block = isCall
    ? { type: 'tool_use', id: `toolu_${told.length}`, name: turn.name, input: {} }
    : { type: 'text', text: '' };
  const delta = isCall
    ? { type: 'input_json_delta', partial_json: JSON.stringify(turn.input) }
    : { type: 'text_delta', text: turn.text };
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = {
    id: `msg_${told.length}`,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  };
  if (stream !== true) {
    const content = [isCall ? { ...block, input: turn.input } : { type: 'text', text: turn.text }];
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({ ...message, content, input_tokens: 1, stop_reason: isCall ? 'tool_use' : 'end_turn' }),
    );
    return;
  }
  response.setHeader('content-type', 'text/event-stream');
  for (const event of [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block: block },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    {
      type: 'message_delta',
      delta: { stop_reason: isCall ? 'tool_use' : 'end_turn', stop_sequence: null },
      usage,
    },
    { type: 'message_stop' },
  ]) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }
  response.end();
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const home = mkdtempSync(join(process.env.HOME, 'home-'));
const mcp = JSON.stringify({ mcpServers: { o3: { type: 'http', url: new URL('/mcp', url).href } } });
const flags = ['--output-format', 'stream-json', '--verbose', '--mcp-config', mcp, '--strict-mcp-config'];
const allowed = ['--allowedTools', 'mcp__o3__ask_o3,mcp__o3__get_o3_result,Bash'];
const child = spawn(
  new URL('node_modules/.bin/claude', import.meta.url).pathname,
  ['-p', 'Fix the lease.', ...flags, ...allowed],
  {
    cwd: home,
    env: {
      PATH: process.env.PATH,
      HOME: home,
      ANTHROPIC_BASE_URL: `http://127.0.0.1:${server.address().port}`,
      ANTHROPIC_API_KEY: 'none',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  },
);
const calls = new Map();
let finalOutput;
for await (const line of createInterface({ input: child.stdout })) {
  const { type, message, result } = JSON.parse(line);
  if (type === 'result') finalOutput = result;
  if (!Array.isArray(message?.content)) continue;
  for (const part of message.content) {
    if (part.type === 'tool_use') calls.set(part.id, { tool: part.name, args: part.input });
    if (part.type === 'tool_result') calls.get(part.tool_use_id).result = textOf(part.content);
  }
}
print({ transcript: [...calls.values()], finalOutput });
process.exit(0);
