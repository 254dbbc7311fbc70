// `codex exec`, which asks o3 over MCP, works on, comes back and uses the answer. Its own model follows a script.
// argv: the URL of an instance. Prints its transcript as JSON: a line for each call of a tool, and its last words.
import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { startScriptedModel } from './scripted-model.mjs';
import { idIn, print } from './shared.mjs';

const [url] = process.argv.slice(2);
const baseURL = await startScriptedModel([
  () => ({ call: 'ask_o3', args: { question: 'Two workers renew one lease. Why does it expire twice?' } }),
  () => ({
    call: 'exec_command',
    args: { cmd: 'echo "The tests of the lease pass." > NOTES.md && cat NOTES.md' },
  }),
  ({ ask_o3: told }) => ({ call: 'get_o3_result', args: { id: idIn(told), wait_s: 50 } }),
  ({ get_o3_result: told }) => ({ say: `o3 says: ${told}` }),
]);
const home = mkdtempSync(join(process.env.HOME, 'home-'));
const provider = `name = "scripted"\nbase_url = "${baseURL}"\nwire_api = "responses"`;
const models = `model = "scripted"\nmodel_provider = "scripted"\n[model_providers.scripted]\n${provider}`;
writeFileSync(
  join(home, 'config.toml'),
  `${models}\n[mcp_servers.o3]\nurl = "${new URL('/mcp', url).href}"\n`,
);
const flags = ['exec', '--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox'];
const child = spawn('node_modules/.bin/codex', [...flags, '--cd', home, 'Fix the lease.'], {
  env: { PATH: process.env.PATH, HOME: home, CODEX_HOME: home },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const transcript = [];
let finalOutput;
for await (const line of createInterface({ input: child.stdout })) {
  const { type, item } = JSON.parse(line);
  if (type !== 'item.completed') continue;
  if (item.type === 'agent_message') finalOutput = item.text;
  if (item.type === 'command_execution')
    transcript.push({ tool: 'exec_command', args: { cmd: item.command }, result: item.aggregated_output });
  if (item.type === 'mcp_tool_call')
    transcript.push({
      tool: item.tool,
      args: item.arguments,
      result: item.result?.content?.map(({ text }) => text).join('\n') ?? item.error?.message,
    });
}
print({ transcript, finalOutput });
process.exit(0);
