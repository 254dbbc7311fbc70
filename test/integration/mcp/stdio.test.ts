import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { eventually } from '../../support/eventually.ts';
import { reached } from '../../support/http/http-calls.ts';
import { callTool, ERAS, type Era } from '../../support/http/mcp-clients.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** `o3q mcp`, as an agent starts it. */

const PROGRAM = [join(__dirname, '../../../dist/cli/main.js'), 'mcp'];
/** A port on which no program listens. */
const NOWHERE = 'http://127.0.0.1:9';
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};

let instance: Instance;

beforeAll(async () => {
  instance = await startInstance({ workers: 0 });
});
afterAll(() => instance.stop());

async function connect(era: Era, url: string): Promise<{ client: Client; said: () => string }> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: PROGRAM,
    env: { O3Q_URL: url },
    stderr: 'pipe',
  });
  let said = '';
  transport.stderr?.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const client = new Client(
    { name: 'stdio-agent', version: '1' },
    { versionNegotiation: { mode: ERAS[era] } },
  );
  await client.connect(transport);
  return { client, said: () => said };
}

/** Starts the program, and calls `ask_o3`, which then waits for an answer that does not come. */
async function startedWait(): Promise<{ child: ChildProcess; id: string; lines: string[] }> {
  const child = spawn(process.execPath, PROGRAM, {
    env: { PATH: process.env['PATH'], O3Q_URL: instance.url },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  const progress = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      const [id] = /job_[0-9a-f]{32}/.exec(line) ?? [];
      if (id !== undefined) resolve(id);
    });
  });
  const params = {
    name: 'ask_o3',
    arguments: { question: 'Is there a worker?', wait_s: 50, again: true },
    _meta: { progressToken: 'p' },
  };
  for (const message of [
    INITIALIZE,
    { jsonrpc: '2.0', method: 'notifications/initialized' },
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
  ]) {
    child.stdin.write(`${JSON.stringify(message)}\n`);
  }
  return { child, id: await progress, lines };
}

it('serves the tools to the official client, in both forms of the protocol', async () => {
  const worker = instance.addWorker();
  const before = instance.simulator.ledger.totals().purchases;
  for (const era of ['legacy', 'auto'] as const) {
    const { client, said } = await connect(era, instance.url);
    const { job } = await callTool(client, 'ask_o3', { question: `Over stdio, ${era}?` });
    const read = await callTool(client, 'get_o3_result', { id: job.id, wait_s: 50 });
    expect(read).toMatchObject({ text: expect.stringContaining(`Over stdio, ${era}?`), isError: false });
    const list = await callTool(client, 'list_o3_tasks', { limit: 1 });
    expect(list.text).toContain(job.id);
    expect(await reached(instance.url, job.id, 'completed')).toMatchObject({
      metadata: { agent: 'stdio-agent' },
    });
    await client.close();
    expect(said()).toBe('');
  }
  expect(instance.simulator.ledger.totals().purchases).toBe(before + 2);
  await instance.stopWorker(worker);
});

it('starts without an instance, and says on stderr and to the model how to start one', async () => {
  const { client, said } = await connect('legacy', NOWHERE);
  const told = await callTool(client, 'ask_o3', { question: 'Does anything answer?' });
  expect(told.isError).toBe(true);
  expect(told.text).toMatch(/^No o3-queue answers at http:\/\/127\.0\.0\.1:9 .*start one with `npm start`/);
  await eventually(() =>
    expect(said()).toMatch(/^o3q mcp: No o3-queue answers at http:\/\/127\.0\.0\.1:9 .*npm start/),
  );
  await client.close();
});

it.each(['stdin ends', 'SIGINT', 'SIGTERM'] as const)(
  'ends in the middle of a wait when %s, has written only JSON, and leaves its job',
  async (way) => {
    const { child, id, lines } = await startedWait();
    const exited = once(child, 'exit');
    if (way === 'stdin ends') child.stdin?.end();
    else child.kill(way);
    expect(await exited).toEqual([0, null]);
    expect(lines.map((line) => (JSON.parse(line) as { jsonrpc: string }).jsonrpc)).toEqual(
      lines.map(() => '2.0'),
    );
    await reached(instance.url, id, 'waiting');
  },
);
