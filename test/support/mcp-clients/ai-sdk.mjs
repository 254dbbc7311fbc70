// Vercel's AI SDK.
import { createMCPClient } from '@ai-sdk/mcp';
import { Experimental_StdioMCPTransport } from '@ai-sdk/mcp/mcp-stdio';
import { textOf } from './shared.mjs';

export async function open(way, { url, command, args, env }) {
  const transport =
    way === 'http' ? { type: 'http', url } : new Experimental_StdioMCPTransport({ command, args, env });
  const client = await createMCPClient({ transport });
  const tools = await client.tools();
  return {
    listTools: async () => Object.keys(tools),
    callTool: async (name, args) => {
      const { content, isError = false } = await tools[name].execute(args, { toolCallId: '1', messages: [] });
      return { text: textOf(content), isError };
    },
    close: () => client.close(),
  };
}
