import type { OpenAI } from 'openai';
import type { ChatCompletionChunk } from 'openai/resources/chat/completions';
import { eventually } from '../../support/eventually.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

/** Chat completions whose connection breaks or whose job fails, and the calls that ask the same again. */

const models = quickModels();
const o3 = models.models['o3'];
if (o3 === undefined) throw new Error('expected o3');
let instance: Instance;
let client: OpenAI;
beforeAll(async () => {
  instance = await startInstance({ models: { models: { o3: { ...o3, maxAttempts: 2 } } } });
  ({ client } = openSdk(instance.url));
});
afterAll(() => instance.stop());
beforeEach(() => instance.simulator.ledger.reset());

const asks = (content: string, thinkMs = 30, metadata: Record<string, string> = {}) => ({
  model: 'o3',
  messages: [{ role: 'user' as const, content }],
  metadata: { sim_think_ms: String(thinkMs), ...metadata },
});
/** Sends a request as a program without an SDK does. */
const send = (body: object, headers: Record<string, string> = {}, url = instance.url) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const totals = () => instance.simulator.ledger.totals();
const bought = (count: number): Promise<void> => eventually(() => expect(totals().purchases).toBe(count));
const textIn = (chunks: readonly ChatCompletionChunk[]): string =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

describe('a chat completion whose connection breaks', () => {
  it('is answered on the next connection, and bought once', async () => {
    const proxy = await openTcpProxy(instance.url);
    const { client: near, tries } = openSdk(new URL(proxy.url).origin);
    const asked = near.chat.completions.create(asks('Cut?', 1000));
    await bought(1);
    proxy.reset();
    expect((await asked).choices[0]?.message.content).toContain('Cut?');
    expect(tries).toHaveLength(2);
    expect(totals().purchases).toBe(1);
    await proxy.close();
  });

  it('in its stream is whole for the next call with the same request, and bought once', async () => {
    const proxy = await openTcpProxy(instance.url);
    const { client: near } = openSdk(new URL(proxy.url).origin);
    const asked = { ...asks('Cut in a stream?', 1500), stream: true as const };
    const told: ChatCompletionChunk[] = [];
    await expect(
      (async () => {
        for await (const chunk of await near.chat.completions.create(asked)) {
          told.push(chunk);
          if (textIn(told) !== '') proxy.reset();
        }
      })(),
    ).rejects.toThrow();
    const again: ChatCompletionChunk[] = [];
    for await (const chunk of await client.chat.completions.create(asked)) again.push(chunk);
    expect(again[0]?.id).toBe(told[0]?.id);
    expect(textIn(again)).toMatch(/^This is a simulated answer.*Cut in a stream\?/);
    expect(textIn(again).startsWith(textIn(told))).toBe(true);
    expect(totals().purchases).toBe(1);
    await proxy.close();
  });

  it.each([true, false])('(streamed: %s) is cancelled, if its caller asked for that', async (stream) => {
    const gone = new AbortController();
    const options = { headers: { 'O3Q-On-Disconnect': 'cancel' }, signal: gone.signal };
    const asked = client.chat.completions.create({ ...asks('Stop?', 60_000), stream }, options);
    const broken = expect(
      asked.then(async (reply) => {
        if ('choices' in reply) return;
        for await (const _chunk of reply);
        gone.signal.throwIfAborted();
      }),
    ).rejects.toThrow('aborted');
    await bought(1);
    gone.abort();
    await broken;
    await eventually(() => expect(totals()).toMatchObject({ cancelled: 1, running: 0 }));
  });

  it('is found by its Idempotency-Key, whole or streamed', async () => {
    const headers = { 'Idempotency-Key': 'one chat' };
    const [first, second] = await Promise.all([
      client.chat.completions.create(asks('Key?', 300), { headers }),
      client.chat.completions.create(asks('Key?', 300), { headers }),
    ]);
    expect(second).toEqual(first);
    expect(totals().purchases).toBe(1);
  });
});

describe('a chat completion whose job has failed', () => {
  const failing = (content: string) => asks(content, 30, { sim: 'failed' });
  const told = async (body: object, headers?: Record<string, string>) => {
    const answer = await send(body, headers);
    return { status: answer.status, retry: answer.headers.get('x-should-retry'), body: await answer.json() };
  };

  it('has the same error for a client that sends it again, and buys nothing', async () => {
    const first = await told(failing('Broken upstream?'));
    expect(first).toMatchObject({ status: 500, retry: 'false', body: { error: { code: 'server_error' } } });
    expect(totals().purchases).toBe(2);
    for (let retry = 1; retry <= 3; retry += 1)
      expect(await told(failing('Broken upstream?'))).toEqual(first);
    expect(totals().purchases).toBe(2);
  });

  it('is a new job for a call with O3Q-Again: 1', async () => {
    await told(failing('Again?'));
    await told(failing('Again?'), { 'O3Q-Again': '1' });
    expect(totals().purchases).toBe(4);
  });

  it('is a new job after an error that no client sends again', async () => {
    const body = asks('Refused?', 30, { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' });
    expect(await told(body)).toMatchObject({ status: 400, body: { error: { code: 'invalid_prompt' } } });
    expect(await told(body)).toMatchObject({ status: 200 });
    expect(totals().purchases).toBe(2);
  });
});

describe('a chat completion that takes longer than its headers may wait', () => {
  let patient: Instance;
  beforeAll(async () => {
    patient = await startInstance({ headersMs: 50 });
  });
  afterAll(() => patient.stop());
  beforeEach(() => patient.simulator.ledger.reset());

  it('is sent after blanks, which the SDK skips', async () => {
    const late = openSdk(patient.url);
    const { choices } = await late.client.chat.completions.create(asks('Late?', 600));
    expect(choices[0]?.message.content).toContain('Late?');
    expect(late.tries).toHaveLength(1);
  });

  it('cuts the connection when it fails, and the next call gets the error', async () => {
    const body = asks('Late, and refused?', 600, { sim: 'failed', sim_code: 'invalid_prompt' });
    await expect(send(body, {}, patient.url).then((answer) => answer.text())).rejects.toThrow('terminated');
    const again = await send(body, {}, patient.url);
    expect(again.status).toBe(400);
    expect(await again.json()).toMatchObject({ error: { code: 'invalid_prompt' } });
    expect(patient.simulator.ledger.totals().purchases).toBe(1);
    expect(patient.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
  });

  it('sends the first chunk of a stream all the same', async () => {
    const late = openSdk(patient.url);
    const chunks: ChatCompletionChunk[] = [];
    const asked = { ...asks('Late words?', 600), stream: true as const };
    for await (const chunk of await late.client.chat.completions.create(asked)) chunks.push(chunk);
    expect(textIn(chunks)).toContain('Late words?');
  });
});

describe('many and large chat completions', () => {
  it('of 9 MB are carried', async () => {
    const { choices, usage } = await client.chat.completions.create(
      asks(`Large? ${'x'.repeat(9 * 1024 ** 2)}`),
    );
    expect(choices[0]?.message.content).toContain('Large?');
    expect(usage?.prompt_tokens).toBeGreaterThan(2_000_000);
  });

  it('at once have a job and an answer each', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const asked = asks(`Number ${i}?`);
        if (i % 2 === 0) return (await client.chat.completions.create(asked)).choices[0]?.message.content;
        const chunks: ChatCompletionChunk[] = [];
        for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
          chunks.push(chunk);
        return textIn(chunks);
      }),
    );
    for (const [i, answer] of answers.entries()) expect(answer).toContain(`"Number ${i}?"`);
    expect(totals().purchases).toBe(200);
  });
});
