import { type CallToolResult, Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

/** ERAS are the ways in which the official client speaks: as in 2025, with a probe, and only as in 2026. */
export const ERAS = { legacy: 'legacy', auto: 'auto', pinned: { pin: '2026-07-28' } } as const;
export type Era = keyof typeof ERAS;

export interface McpClientOptions {
  era?: Era;
  key?: string;
  name?: string;
}

/** connectMcp connects the official client to a producer. @param url without a slash at its end. */
export async function connectMcp(
  url: string,
  { era = 'pinned', key, name = 'test-agent' }: McpClientOptions = {},
): Promise<Client> {
  const client = new Client({ name, version: '1.0.0' }, { versionNegotiation: { mode: ERAS[era] } });
  const headers = {
    'user-agent': `${name}/1.0.0`,
    ...(key !== undefined && { authorization: `Bearer ${key}` }),
  };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } }),
  );
  return client;
}

/** Told is what a model is shown of a result, and the facts that programs get. */
export interface Told {
  text: string;
  isError: boolean;
  job: { id: string; status: string; next_offset?: number; length?: number; cost_usd?: number | null };
}

/** told reads a result as a client shows it to its model. */
export function told({ content, isError = false, _meta }: CallToolResult): Told {
  const texts = content.map((part) => (part.type === 'text' ? part.text : ''));
  return { text: texts.join('\n'), isError, job: _meta?.['org.o3-queue/job'] as Told['job'] };
}

/** callTool calls a tool, and returns what a model is told. */
export async function callTool(
  client: Client,
  name: string,
  input: Record<string, unknown> = {},
  options: Parameters<Client['callTool']>[1] = {},
): Promise<Told> {
  return told((await client.callTool({ name, arguments: input }, options)) as CallToolResult);
}
