import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, reached } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** The extension for tasks of the revision 2026-07-28, on the wire and with the official library. */

const TASKS = 'io.modelcontextprotocol/tasks';
const ALICE = 'the-key-of-alice-1234';
const BOB = 'the-key-of-bob-123456';
const iso = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const HOUR_MS = 3_600_000;

/** An instance with keys, whose worker a test adds, and one without keys. */
let instance: Instance;
let open: Instance;

beforeAll(async () => {
  const simulator = { answer: ({ text }: { text: string }) => `Because of ${text}` };
  [instance, open] = await Promise.all([
    startInstance({
      workers: 0,
      keys: [
        { name: 'alice', secret: ALICE },
        { name: 'bob', secret: BOB },
      ],
      simulator,
    }),
    startInstance({ workers: 0, simulator }),
  ]);
});
afterAll(() => Promise.all([instance.stop(), open.stop()]));

interface RpcOptions {
  key?: string;
  /** Whether the call declares tasks. Default true. */
  declares?: boolean;
}

async function rpc(
  method: string,
  params: Record<string, unknown>,
  { key = ALICE, declares = true }: RpcOptions = {},
): Promise<Answer & { body: { result?: Record<string, unknown>; error?: Record<string, unknown> } }> {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': declares ? { extensions: { [TASKS]: {} } } : {},
  };
  const answer = await call(instance.url, 'POST', '/mcp', {
    body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta } },
    headers: {
      authorization: `Bearer ${key}`,
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      'mcp-name': String(params['taskId'] ?? params['name']),
    },
  });
  return answer as Awaited<ReturnType<typeof rpc>>;
}

const ask = (question: string, options?: RpcOptions) =>
  rpc('tools/call', { name: 'ask_o3', arguments: { question } }, options);

it('a call that declares tasks gets one, which is the job, and ends with its answer', async () => {
  const { body } = await ask('What is a task?');
  const taskId = String(body.result?.['taskId']);
  expect(taskId).toMatch(/^job_/);
  const working = {
    taskId,
    status: 'working',
    statusMessage: expect.stringMatching(new RegExp(`^${taskId} is waiting for a worker: none is running`)),
    createdAt: iso,
    lastUpdatedAt: iso,
    ttlMs: expect.any(Number),
    pollIntervalMs: expect.any(Number),
  };
  expect(body.result).toMatchObject({ resultType: 'task', ...working });
  const got = await rpc('tasks/get', { taskId });
  expect(got.body.result).toMatchObject({ resultType: 'complete', ...working });
  expect(got.body.result).not.toHaveProperty('result');
  expect(got.body.result?.['ttlMs']).toBeGreaterThanOrEqual(
    instance.models.retention.completedHours * HOUR_MS,
  );
  expect(got.body.result?.['pollIntervalMs']).toBeGreaterThanOrEqual(2000);
  expect((await rpc('tasks/update', { taskId, inputResponses: {} })).body.result).toMatchObject({
    resultType: 'complete',
  });

  const worker = instance.addWorker();
  const done = await eventually(async () => {
    const { result } = (await rpc('tasks/get', { taskId })).body;
    expect(result).toMatchObject({ status: 'completed' });
    return result;
  });
  expect(done).toMatchObject({
    result: {
      resultType: 'complete',
      content: [{ type: 'text', text: expect.stringMatching(/^Because of What is a task\?\n\n\[job_/) }],
    },
  });
  expect(done).not.toHaveProperty('pollIntervalMs');
  // A cancel of a task that has ended changes nothing.
  expect((await rpc('tasks/cancel', { taskId })).body.result).toMatchObject({ resultType: 'complete' });
  expect((await rpc('tasks/get', { taskId })).body.result).toMatchObject({ status: 'completed' });
  await instance.stopWorker(worker);
});

it('a failed job is a completed task whose result says why', async () => {
  const { body } = await call(instance.url, 'POST', '/jobs', {
    body: { question: 'Is this refused?', metadata: { sim: '400' } },
    headers: { authorization: `Bearer ${ALICE}` },
  });
  const { id } = body as JobView;
  const worker = instance.addWorker();
  const done = await eventually(async () => {
    const { result } = (await rpc('tasks/get', { taskId: id })).body;
    expect(result).toMatchObject({ status: 'completed' });
    return result;
  });
  expect(done?.['result']).toMatchObject({
    isError: true,
    content: [{ text: expect.stringMatching(new RegExp(`^${id} failed: \\w+: `)) }],
  });
  await instance.stopWorker(worker);
});

it('tasks/cancel cancels the job', async () => {
  const taskId = String((await ask('Is this cancelled?')).body.result?.['taskId']);
  expect((await rpc('tasks/cancel', { taskId })).body.result).toMatchObject({ resultType: 'complete' });
  const { result } = (await rpc('tasks/get', { taskId })).body;
  expect(result).toMatchObject({ status: 'cancelled', taskId });
  expect(result).not.toHaveProperty('result');
});

it('without the declaration there is no task, and another tenant sees none', async () => {
  const told = (await ask('Who has declared what?', { declares: false })).body.result;
  expect(told).toMatchObject({ resultType: 'complete', content: [{ text: expect.stringMatching(/^job_/) }] });
  expect(told).not.toHaveProperty('taskId');
  const taskId = String((await ask('Who has declared what?')).body.result?.['taskId']);
  for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
    const undeclared = await rpc(method, { taskId }, { declares: false });
    expect(undeclared).toMatchObject({
      status: 400,
      body: { error: { code: -32021, data: { requiredCapabilities: { extensions: { [TASKS]: {} } } } } },
    });
    for (const [options, id] of [
      [{ key: BOB }, taskId],
      [{}, 'job_unknown'],
    ] as const) {
      const unknown = await rpc(method, { taskId: id }, options);
      expect(unknown).toMatchObject({ status: 200, body: { error: { code: -32602 } } });
    }
  }
  expect((await rpc('tasks/get', { taskId })).body.result).toMatchObject({ status: 'working' });
});

it('the official library of tasks cancels a job, and reads the answer of another', async () => {
  const script = [
    'test/support/process/mcp-tasks.mjs',
    open.url,
    'What does a library see?',
    'Is it hopeless?',
  ];
  const child = spawn(process.execPath, script, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(JSON.parse(line) as Record<string, unknown>);
    if (lines.length === 1) open.addWorker();
  }
  const [stopped, ended] = lines;
  expect(stopped).toMatchObject({ kind: 'task', outcome: { status: 'cancelled' } });
  await reached(open.url, String(stopped?.['taskId']), 'cancelled');
  expect(ended).toMatchObject({
    kind: 'task',
    outcome: {
      status: 'completed',
      result: { content: [{ text: expect.stringContaining('Because of What does a library see?') }] },
    },
  });
  expect(open.simulator.ledger.totals().purchases).toBe(1);
});
