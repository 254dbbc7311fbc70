import type { Client } from '@modelcontextprotocol/client';
import { type Producer, startProducer } from '../../../producer/producer.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { eventually } from '../../support/eventually.ts';
import { reached, viewOf } from '../../support/http/http-calls.ts';
import { callTool, connectMcp, type Era, type Told } from '../../support/http/mcp-clients.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Calls that end before the job: a call never cancels a job, and `cancel_o3` always does. */

/** An instance whose model thinks for longer than any test. */
let slow: Instance;
/** An instance without a worker, until a test adds one. */
let idle: Instance;
const clients: Client[] = [];
const producers: Producer[] = [];

beforeAll(async () => {
  const options = { thinkMs: 3_600_000 };
  [slow, idle] = await Promise.all([
    startInstance({ simulator: options, http: { maxBodyMb: 1 } }),
    startInstance({ workers: 0, http: { maxBodyMb: 1 } }),
  ]);
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(async () => {
  await stop(producers);
  await Promise.all([slow.stop(), idle.stop()]);
});

async function connect(url: string, era: Era = 'pinned'): Promise<Client> {
  const client = await connectMcp(url, { era });
  clients.push(client);
  return client;
}

function stop(parts: Producer[]): Promise<boolean> {
  return shutDown(parts, { deadlineMs: 30_000, hurry: new AbortController().signal });
}

async function anotherProducer({ redis, models }: Instance): Promise<Producer> {
  const logger = createLogger({ level: 'silent', secrets: [], pretty: false });
  const producer = await startProducer({
    settings: models,
    ...{ redisUrl: redis.url, prefix: 'o3q', host: '127.0.0.1', port: 0, logger },
  });
  producers.push(producer);
  return producer;
}

it('an answer may outlast many waits; cancel_o3 stops its response, and the next question is bought anew, once', async () => {
  const client = await connect(slow.url);
  const { ledger } = slow.simulator;
  const question = { question: 'Is this worth an hour?' };
  const { job } = await callTool(client, 'ask_o3', question);
  await reached(slow.url, job.id, 'active');
  await eventually(() => expect(ledger.totals()).toMatchObject({ purchases: 1, running: 1 }));
  // As minutes of an answer in several calls of 50 s.
  for (let wait = 1; wait <= 2; wait += 1) {
    expect(await callTool(client, 'get_o3_result', { id: job.id, wait_s: 1 })).toMatchObject({
      isError: false,
      text: expect.stringMatching(
        new RegExp(`^${job.id} is active: .* call get_o3_result with this id later`),
      ),
    });
  }
  const cancelled = await callTool(client, 'cancel_o3', { id: job.id });
  expect(cancelled).toMatchObject({ isError: false, text: expect.stringContaining(job.id) });
  await reached(slow.url, job.id, 'cancelled');
  await eventually(() => expect(ledger.totals()).toMatchObject({ cancelled: 1, running: 0 }));
  expect(await callTool(client, 'get_o3_result', { id: job.id })).toMatchObject({
    isError: true,
    text: expect.stringMatching(/was cancelled .*There is no answer\. Asking again buys a new one\.$/),
  });

  const [second, third] = await Promise.all([
    callTool(client, 'ask_o3', question),
    callTool(client, 'ask_o3', question),
  ]);
  expect(second.job.id).not.toBe(job.id);
  expect(third.job.id).toBe(second.job.id);
  await eventually(() => expect(ledger.totals()).toMatchObject({ purchases: 2, running: 1 }));
});

it('a client that is killed in a wait leaves its job, which completes and is bought once', async () => {
  const client = await connect(idle.url);
  const before = idle.simulator.ledger.totals().purchases;
  const gone = new AbortController();
  const asked = { question: 'Does this outlive its client?' };
  const waits = [
    callTool(client, 'ask_o3', { ...asked, wait_s: 50 }, { signal: gone.signal }),
    callTool(
      client,
      'ask_o3',
      { ...asked, wait_s: 50 },
      { signal: gone.signal, onprogress: () => gone.abort() },
    ),
  ];
  const outcomes = await Promise.allSettled(waits);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);

  const next = await connect(idle.url);
  const { job } = await callTool(next, 'ask_o3', asked);
  expect(await viewOf(idle.url, job.id)).toMatchObject({ status: 'waiting' });
  const early = await callTool(next, 'get_o3_result', { id: job.id, wait_s: 1 });
  expect(early).toMatchObject({
    isError: false,
    text: expect.stringMatching(/is waiting for .* get_o3_result/),
  });
  const worker = idle.addWorker();
  const read = await callTool(next, 'get_o3_result', { id: job.id, wait_s: 50 });
  expect(read).toMatchObject({ isError: false, job: { id: job.id, status: 'completed' } });
  expect(idle.simulator.ledger.totals().purchases).toBe(before + 1);
  await idle.stopWorker(worker);
});

it('a producer that stops answers every wait before it closes, and the job completes, bought once', async () => {
  const first = await anotherProducer(idle);
  const before = idle.simulator.ledger.totals().purchases;
  const heard: string[] = [];
  const waits: Promise<Told>[] = [];
  for (const era of ['pinned', 'legacy'] as const) {
    const client = await connect(first.url, era);
    const question = { question: `Does this outlive its producer, ${era}?`, wait_s: 50 };
    // One is answered with JSON or one event, the other with a stream of events that has begun.
    waits.push(callTool(client, 'ask_o3', question));
    waits.push(callTool(client, 'ask_o3', question, { onprogress: () => heard.push(era) }));
  }
  await eventually(() => expect(new Set(heard).size).toBe(2));
  await eventually(async () => {
    const open = await callTool(await connect(idle.url), 'list_o3_tasks', { open_only: true });
    expect(open.text.split('\n')).toHaveLength(2);
  });
  await stop([first]);
  const told = await Promise.all(waits);
  for (const { text } of told) {
    expect(text).toMatch(
      /^job_\w+ is waiting for .*This instance is restarting, so the wait has ended early\./,
    );
  }

  const second = await connect((await anotherProducer(idle)).url);
  const worker = idle.addWorker();
  for (const id of new Set(told.map(({ job }) => job.id))) {
    expect(await callTool(second, 'get_o3_result', { id, wait_s: 50 })).toMatchObject({
      isError: false,
      job: { status: 'completed' },
    });
  }
  expect(idle.simulator.ledger.totals().purchases).toBe(before + 2);
  await idle.stopWorker(worker);
});
