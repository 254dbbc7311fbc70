// The official SDK of the revisions before 2026-07-28.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { textOf } from './shared.mjs';

export async function open(way, { url, command, args, env }) {
  const client = new Client({ name: 'sdk-1', version: '1.0.0' });
  await client.connect(
    way === 'http'
      ? new StreamableHTTPClientTransport(new URL(url))
      : new StdioClientTransport({ command, args, env }),
  );
  return {
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    callTool: async (name, args) => {
      const { content, isError = false } = await client.callTool({ name, arguments: args });
      return { text: textOf(content), isError };
    },
    close: () => client.close(),
  };
}
