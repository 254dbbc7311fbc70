// OpenAI's Agents SDK.
import { MCPServerStdio, MCPServerStreamableHttp } from '@openai/agents';
import { textOf } from './shared.mjs';

export async function open(way, { url, command, args, env }) {
  const server =
    way === 'http'
      ? new MCPServerStreamableHttp({ url, name: 'o3' })
      : new MCPServerStdio({ command, args, env, name: 'o3' });
  await server.connect();
  return {
    listTools: async () => (await server.listTools()).map(({ name }) => name),
    callTool: async (name, args) => {
      const { content, isError = false } = await server.callToolResult(name, args);
      return { text: textOf(content), isError };
    },
    close: () => server.close(),
  };
}
