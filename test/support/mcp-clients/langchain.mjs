// LangChain's adapters. They throw what the model would be told with `isError`.
import { MultiServerMCPClient } from '@langchain/mcp-adapters';

export async function open(way, { url, command, args, env }) {
  const o3 = way === 'http' ? { transport: 'http', url } : { transport: 'stdio', command, args, env };
  const client = new MultiServerMCPClient({ mcpServers: { o3 } });
  const tools = Object.fromEntries((await client.getTools()).map((tool) => [tool.name, tool]));
  return {
    listTools: async () => Object.keys(tools),
    callTool: async (name, args) => {
      try {
        // As an agent of LangChain calls it. The model is shown JSON, because the result has a `_meta`.
        const { content } = await tools[name].invoke({ type: 'tool_call', id: '1', name, args });
        return { text: JSON.parse(content).text, isError: false };
      } catch (error) {
        return { text: error.message, isError: true };
      }
    },
    close: () => client.close(),
  };
}
