// Calls ask_o3 as a client that declares tasks, with the official library of tasks, and prints how each ended as JSON.
// The question to cancel is printed first.
// Arguments: the URL of the instance; the question to wait for; the question to cancel.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTaskSessionFromClient } from '@modelcontextprotocol/ext-tasks/client';

const [url, question, hopeless] = process.argv.slice(2);
const protocolVersion = '2026-07-28';
const clientInfo = { name: 'tasks-agent', version: '1' };
const clientCapabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

let id = 0;
/** Sends a request as the library has framed it: the SDK's client does not know the messages of tasks. */
async function rawDispatch(request, { signal } = {}) {
  id += 1;
  const name = request.params?.taskId ?? request.params?.name;
  const response = await fetch(new URL('/mcp', url), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': protocolVersion,
      'mcp-method': request.method,
      ...(name !== undefined && { 'mcp-name': name }),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id, ...request }),
    signal,
  });
  const { result, error } = await response.json();
  return error === undefined ? { kind: 'result', result } : { kind: 'error', error };
}

const client = new Client(clientInfo, {
  capabilities: clientCapabilities,
  versionNegotiation: { mode: { pin: protocolVersion } },
});
await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', url)));
const session = createTaskSessionFromClient(client, {
  endpointId: 'o3-queue',
  rawDispatch,
  v2RequestFraming: { protocolVersion, clientInfo, clientCapabilities },
});

const [asked, other] = await Promise.all(
  [question, hopeless].map((text) => session.callTool('ask_o3', { question: text })),
);
const settled = [asked.settle(), other.settle()];
await other.cancel();
const print = async (execution, settlement) => {
  const { outcome } = await settlement;
  console.log(JSON.stringify({ kind: execution.kind, taskId: execution.handle?.taskId, outcome }));
};
await print(other, settled[1]);
await print(asked, settled[0]);
await session.close();
await client.close();
