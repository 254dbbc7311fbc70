import type { Client } from '@modelcontextprotocol/client';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { callTool, connectMcp, ERAS, type Era } from '../../support/http/mcp-clients.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** An agent's tools at a real producer, with the official client in each of its ways to speak. */

const KEYS = {
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
  carol: 'the-key-of-carol-1234',
} as const;
const LONG = Array.from({ length: 1000 }, (_, line) => `Line ${line} of a long proof 🧠.`).join('\n');

let instance: Instance;
const clients: Client[] = [];

beforeAll(async () => {
  instance = await startInstance({
    keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
    http: { maxBodyMb: 1 },
    models: { tenants: { carol: { weight: 1, dailyBudgetUsd: 0.02, onBudgetExhausted: 'refuse' } } },
    simulator: { answer: ({ text }) => (text.includes('long proof') ? LONG : `Because of ${text}`) },
  });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(() => instance.stop());

async function connect(era: Era = 'pinned', key: string = KEYS.alice): Promise<Client> {
  const client = await connectMcp(instance.url, { era, key });
  clients.push(client);
  return client;
}

async function view(id: string, key: string = KEYS.alice): Promise<JobView> {
  const { body } = await call(instance.url, 'GET', `/jobs/${id}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return body as JobView;
}

describe.each(Object.keys(ERAS) as Era[])('the official client, speaking %s', (era) => {
  it('asks, looks, and reads the answer, which is bought once', async () => {
    const client = await connect(era);
    const before = instance.simulator.ledger.totals().purchases;
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual([
      'ask_o3',
      'check_o3_status',
      'get_o3_result',
      'list_o3_tasks',
      'cancel_o3',
    ]);

    const asked = await callTool(client, 'ask_o3', { question: `Why does the lease expire, ${era}?` });
    expect(asked.text).toMatch(/^job_[0-9a-f]{32} is \w+/);
    const { id } = asked.job;
    expect(await callTool(client, 'check_o3_status', { id })).toMatchObject({
      text: expect.stringMatching(new RegExp(`^${id} is `)),
      isError: false,
      job: { id },
    });
    const read = await callTool(client, 'get_o3_result', { id });
    expect(read).toMatchObject({
      text: expect.stringContaining(`Because of Why does the lease expire, ${era}?`),
      isError: false,
      job: { id, status: 'completed', cost_usd: expect.any(Number) },
    });
    expect(read.text).toMatch(new RegExp(`\\[${id}: the whole answer, \\d+ characters, \\$0\\.\\d+\\]$`));
    expect(read.job).not.toHaveProperty('next_offset');
    expect(instance.simulator.ledger.totals().purchases).toBe(before + 1);
  });

  it('is told how a wait goes, when it asks to be told', async () => {
    const client = await connect(era);
    const heard: (string | undefined)[] = [];
    const { text } = await callTool(
      client,
      'ask_o3',
      { question: `How far is it, ${era}?`, wait_s: 50 },
      { onprogress: ({ progress, message }) => heard.push(`${progress} ${message}`) },
    );
    expect(text).toContain(`Because of How far is it, ${era}?`);
    expect(heard[0]).toMatch(/^1 job_[0-9a-f]{32} is /);
  });

  it('gets refusals that a model can mend as results, and a fault of the protocol as an error', async () => {
    const client = await connect(era);
    const bad = await callTool(client, 'ask_o3', { question: ' ', wait_s: 70, models: 'o3' });
    expect(bad.isError).toBe(true);
    expect(bad.text).toMatch(/question: expected a question.*wait_s: .*50.*expected only question, context/);
    expect(await callTool(client, 'ask_o3', { question: 'What?', model: 'o4' })).toMatchObject({
      isError: true,
      text: expect.stringContaining('expected one of o3, got "o4"'),
    });
    const { job } = await callTool(client, 'ask_o3', { question: 'Is there anybody?', wait_s: 50 });
    const unknown = await callTool(client, 'get_o3_result', { id: 'job_invented' });
    expect(unknown.isError).toBe(true);
    expect(unknown.text).toMatch(/job_invented.*Your latest jobs:\n/);
    expect(unknown.text).toContain(`${job.id}  completed`);
    await expect(client.callTool({ name: 'ask_o4' })).rejects.toMatchObject({ code: -32602 });
  });
});

it('gives a long answer in parts that end with a line and fit together', async () => {
  const client = await connect();
  const accepted = await call(instance.url, 'POST', '/jobs?wait=60', {
    // Not streamed, which is quicker.
    body: { question: 'Write a long proof.', stream: false },
    headers: { authorization: `Bearer ${KEYS.alice}` },
  });
  const job = accepted.body as JobView;
  const parts: string[] = [];
  let offset: number | undefined = 0;
  while (offset !== undefined) {
    const part = await callTool(client, 'get_o3_result', { id: job.id, offset });
    parts.push(part.text.replace(/\n\n\[job_[^\]]*\]$/, ''));
    expect(part.text.length).toBeLessThan(24_200);
    offset = part.job.next_offset;
  }
  expect(parts.length).toBe(2);
  expect(parts.slice(0, -1).every((part) => part.endsWith('\n'))).toBe(true);
  expect(parts.join('')).toBe(LONG);
  expect(await callTool(client, 'get_o3_result', { id: job.id, offset: LONG.length })).toMatchObject({
    isError: true,
    text: expect.stringContaining('there is none at'),
  });
});

it('takes the time when the answer is needed', async () => {
  const client = await connect();
  const question = { question: 'By when is this needed?', needed_by: '2099-11-30T08:00:00+01:00' };
  const { job } = await callTool(client, 'ask_o3', question);
  expect(await view(job.id)).toMatchObject({ needed_by: '2099-11-30T07:00:00.000Z' });
  expect(await callTool(client, 'ask_o3', { ...question, needed_by: 'tomorrow' })).toMatchObject({
    isError: true,
    text: expect.stringContaining('needed_by: expected a time in ISO 8601'),
  });
});

it('joins a repeated question, also of a client that asks twice at once, and buys anew only when told to', async () => {
  const [one, other] = [await connect('pinned'), await connect('legacy')];
  // Jobs of earlier tests may still be bought.
  const purchases = (): number =>
    instance.simulator.ledger.entries().filter((entry) => entry.question.includes('Is this asked twice?'))
      .length;
  const question = { question: 'Is this asked twice?', context: 'Some code.' };
  const [first, second] = await Promise.all([
    callTool(one, 'ask_o3', question),
    callTool(other, 'ask_o3', question),
  ]);
  expect(second.job.id).toBe(first.job.id);
  const third = await callTool(one, 'ask_o3', { ...question, wait_s: 50 });
  expect(third).toMatchObject({ job: { id: first.job.id, status: 'completed' } });
  const fourth = await callTool(other, 'ask_o3', question);
  expect(fourth.text).toMatch(
    /\[job_.* You asked the same .* ago, so this is that job, and nothing more is bought/,
  );
  expect(purchases()).toBe(1);

  const again = await callTool(one, 'ask_o3', { ...question, again: true, wait_s: 50 });
  expect(again.job.id).not.toBe(first.job.id);
  expect(purchases()).toBe(2);
});

it('lists the jobs of the caller, and those that have not ended', async () => {
  const client = await connect();
  const { job } = await callTool(client, 'ask_o3', { question: 'What is\nin the list?', wait_s: 50 });
  const list = await callTool(client, 'list_o3_tasks', { limit: 1 });
  expect(list.text).toMatch(
    new RegExp(`^${job.id}  completed  [\\d.]+s ago  \\$0\\.\\d+  "What is in the list\\?"$`),
  );
  expect((await callTool(client, 'check_o3_status')).text).toContain(`${job.id} is completed (took `);
  await eventually(async () => {
    const open = await callTool(client, 'list_o3_tasks', { open_only: true });
    expect(open.text).toBe('You have no unfinished job.');
  });
});

it('lets two tenants see nothing of each other', async () => {
  const [alice, bob] = [await connect(), await connect('pinned', KEYS.bob)];
  const { job } = await callTool(alice, 'ask_o3', { question: 'What does alice know?', wait_s: 50 });
  for (const [tool, input] of [
    ['check_o3_status', { id: job.id }],
    ['get_o3_result', { id: job.id }],
    ['cancel_o3', { id: job.id }],
  ] as const) {
    const seen = await callTool(bob, tool, input);
    expect(seen).toMatchObject({ isError: true, text: expect.stringMatching(/You have no jobs\.$/) });
    expect(seen.text).not.toContain('alice');
  }
  expect((await callTool(bob, 'list_o3_tasks')).text).toBe('You have no jobs.');
  expect((await callTool(bob, 'check_o3_status')).text).toMatch(/^You have no unfinished job/);
  const own = await callTool(bob, 'ask_o3', { question: 'What does alice know?', wait_s: 50 });
  expect(own.job.id).not.toBe(job.id);
  expect(await view(own.job.id, KEYS.bob)).toMatchObject({ tenant: 'bob' });
});

it('tells an agent whose tenant has used up its budget so, with a sentence for the user', async () => {
  const client = await connect('pinned', KEYS.carol);
  await call(instance.url, 'POST', '/jobs?wait=60', {
    body: { question: 'How much is this?', metadata: { sim_output_tokens: '3000' }, stream: false },
    headers: { authorization: `Bearer ${KEYS.carol}` },
  });
  const refused = await callTool(client, 'ask_o3', { question: 'And one more?' });
  expect(refused.isError).toBe(true);
  expect(refused.text).toMatch(
    /^The daily budget of carol \(\$0\.02\) is used up until midnight UTC: .*It may work again in .*Nothing was bought\. Tell the user what this says\.$/,
  );
});

it('writes the name of the agent into the metadata of its jobs', async () => {
  for (const era of ['legacy', 'pinned'] as const) {
    const client = await connect(era);
    const { job } = await callTool(client, 'ask_o3', { question: `Who asks, ${era}?` });
    const { body } = await call(instance.url, 'GET', '/jobs?metadata[agent]=test-agent&limit=1', {
      headers: { authorization: `Bearer ${KEYS.alice}` },
    });
    expect(body).toMatchObject({ jobs: [{ id: job.id, metadata: { agent: 'test-agent' } }] });
  }
});

describe('the door', () => {
  const authorization = `Bearer ${KEYS.alice}`;
  const accept = 'application/json, text/event-stream';
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    call(instance.url, 'POST', '/mcp', { body, headers: { authorization, accept, ...headers } });

  it('refuses a page of another site, even one that has a key, and a call without a key', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      expectProblem(await post(ping, headers), 403, 'forbidden');
    }
    expectProblem(
      await call(instance.url, 'POST', '/mcp', { body: ping, headers: { accept } }),
      401,
      'unauthorized',
    );
    expectProblem(
      await call(instance.url, 'GET', '/mcp', { headers: { authorization } }),
      405,
      'method_not_allowed',
    );
  });

  it('answers a body that it cannot read with an error of JSON-RPC', async () => {
    const refused = (status: number, code: number) => ({ status, body: { jsonrpc: '2.0', error: { code } } });
    expect(await post('{"jsonrpc": ')).toMatchObject(refused(400, -32700));
    expect(await post(`"${'x'.repeat(1024 ** 2)}"`)).toMatchObject(refused(413, -32600));
    expect(await post(ping, { 'content-type': 'text/plain' })).toMatchObject(refused(415, -32000));
    expect(await post(ping, { accept: 'application/json' })).toMatchObject(refused(406, -32000));
    expect(await post(ping)).toMatchObject({ status: 200 });
  });
});
