import type { OpenAI } from 'openai';
import { startProducer } from '../../../producer/producer.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { eventually } from '../../support/eventually.ts';
import { openSdk, textIn } from '../../support/openai/sdk.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** OpenAI's own SDK, unmodified but for its base URL: calls that wait for their answer. */

let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance();
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const asks = (input: string, thinkMs = 30, metadata: Record<string, string> = {}) => ({
  model: 'o3',
  input,
  metadata: { sim_think_ms: String(thinkMs), ...metadata },
});
const purchases = (): number => instance.simulator.ledger.totals().purchases;
const bought = (count: number): Promise<void> => eventually(() => expect(purchases()).toBe(count));

describe('a foreground response', () => {
  it('is answered when it is completed', async () => {
    const response = await client.responses.create(asks('Foreground?', 300));
    expect(response).toMatchObject({ status: 'completed', background: false });
    expect(response.output_text).toContain('Foreground?');
    expect(await client.responses.retrieve(response.id)).toEqual(response);
  });

  it('that takes longer than the SDK waits is bought once, and answers one of its retries', async () => {
    const { client: hasty, tries } = openSdk(instance.url, { timeout: 1000, maxRetries: 9 });
    const response = await hasty.responses.create(asks('Longer than you wait?', 2500));
    expect(response.output_text).toContain('Longer than you wait?');
    expect(tries.length).toBeGreaterThan(1);
    expect(purchases()).toBe(1);
  });

  it('whose stream begins later than the SDK waits is bought once', async () => {
    const { client: hasty, tries } = openSdk(instance.url, { timeout: 250, maxRetries: 9 });
    const stream = await hasty.responses.create({ ...asks('Streamed?', 3000), stream: true });
    const events = [];
    for await (const event of stream) events.push(event);
    expect(textIn(events)).toContain('Streamed?');
    expect(tries.length).toBeGreaterThan(1);
    expect(purchases()).toBe(1);
  });

  it('whose connection breaks is answered on the next connection', async () => {
    const proxy = await openTcpProxy(instance.url);
    const { client: near, tries } = openSdk(new URL(proxy.url).origin);
    const asked = near.responses.create(asks('Cut?', 1000));
    await bought(1);
    proxy.reset();
    expect((await asked).output_text).toContain('Cut?');
    expect(tries).toHaveLength(2);
    expect(purchases()).toBe(1);
    await proxy.close();
  });

  it('survives the death of its producer', async () => {
    const start = (port: number) =>
      startProducer({
        settings: instance.models,
        redisUrl: instance.redis.url,
        prefix: 'o3q',
        host: '127.0.0.1',
        port,
        logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
      });
    const stop = (producer: Awaited<ReturnType<typeof start>>) =>
      shutDown([producer], { deadlineMs: 100, hurry: AbortSignal.abort() });
    const first = await start(0);
    const { client: near, tries } = openSdk(first.url);
    const asked = near.responses.create(asks('Restarted?', 1500));
    await bought(1);
    await stop(first);
    const second = await start(Number(new URL(first.url).port));
    expect((await asked).output_text).toContain('Restarted?');
    expect(tries.length).toBeGreaterThan(1);
    expect(purchases()).toBe(1);
    await stop(second);
  });

  it('whose client has disconnected is found by its Idempotency-Key', async () => {
    const gone = new AbortController();
    const headers = { 'Idempotency-Key': 'found again' };
    const asked = client.responses.create(asks('Gone?', 500), { headers, signal: gone.signal });
    await bought(1);
    gone.abort();
    await expect(asked).rejects.toThrow('aborted');
    const response = await client.responses.create(asks('Gone?', 500), { headers });
    expect(response.output_text).toContain('Gone?');
    expect(purchases()).toBe(1);
  });

  it.each([true, false])(
    '(streamed: %s) is cancelled when its client disconnects, if the client asked for that',
    async (stream) => {
      const gone = new AbortController();
      const headers = { 'O3Q-On-Disconnect': 'cancel' };
      const asked = client.responses.create(
        { ...asks('Stop?', 60_000), stream },
        { headers, signal: gone.signal },
      );
      const broken = expect(
        asked.then(async (reply) => {
          if ('output' in reply) return;
          for await (const _event of reply);
          gone.signal.throwIfAborted();
        }),
      ).rejects.toThrow('aborted');
      await bought(1);
      gone.abort();
      await broken;
      await eventually(() =>
        expect(instance.simulator.ledger.totals()).toMatchObject({ cancelled: 1, running: 0 }),
      );
    },
  );

  it('is not cancelled when its client disconnects after it got the answer', async () => {
    const headers = { 'O3Q-On-Disconnect': 'cancel' };
    const response = await client.responses.create(asks('Done?'), { headers });
    expect(response.status).toBe('completed');
    expect((await client.responses.retrieve(response.id)).status).toBe('completed');
    await expect(
      client.responses.create(asks('Done?'), { headers: { 'O3Q-On-Disconnect': 'stop' } }),
    ).rejects.toThrow('400');
  });

  it('is bought again when a caller repeats a request that was answered', async () => {
    const [first, second] = [
      await client.responses.create(asks('Again?')),
      await client.responses.create(asks('Again?')),
    ];
    expect(second.id).not.toBe(first.id);
  });

  it('is a new job after an equal call was refused and its caller got the refusal', async () => {
    const body = asks('Refused at first?', 1000, { sim: '400', sim_times: '1' });
    await expect(client.responses.create(body)).rejects.toThrow('400');
    const proxy = await openTcpProxy(instance.url);
    const { client: near } = openSdk(new URL(proxy.url).origin);
    const asked = near.responses.create(body);
    await bought(1);
    proxy.reset();
    expect((await asked).output_text).toContain('Refused at first?');
    expect(purchases()).toBe(1);
    await proxy.close();
  });
});

describe('a foreground response that is late', () => {
  let patient: Instance;
  beforeAll(async () => {
    patient = await startInstance({ headersMs: 50 });
  });
  afterAll(() => patient.stop());
  beforeEach(() => patient.simulator.ledger.reset());

  it('is sent after blanks, which the SDK skips', async () => {
    const late = openSdk(patient.url);
    const { data, response } = await late.client.responses.create(asks('Late?', 600)).withResponse();
    expect(data.output_text).toContain('Late?');
    expect(response.headers.get('content-type')).toContain('application/json');
    expect(late.tries).toHaveLength(1);
  });

  it('reports a failure in its body, because its status is sent already', async () => {
    const late = openSdk(patient.url);
    const refused = asks('Late, and refused?', 600, { sim: 'failed', sim_code: 'invalid_prompt' });
    expect(await late.client.responses.create(refused)).toMatchObject({
      status: 'failed',
      error: { code: 'invalid_prompt', type: 'invalid_request_error' },
    });
    expect(late.tries).toHaveLength(1);
  });

  it('sends its headers before the first event of a stream', async () => {
    const late = openSdk(patient.url);
    const stream = await late.client.responses.create({ ...asks('Late words?', 1500), stream: true });
    expect(patient.simulator.ledger.totals().completed).toBe(0);
    const events = [];
    for await (const event of stream) events.push(event);
    expect(textIn(events)).toContain('Late words?');
  });
});
