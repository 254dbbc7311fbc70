import { Redis } from 'ioredis';
import { type Producer, startProducer } from '../../../producer/producer.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { openSdk } from '../../support/openai/sdk.ts';
import { openTcpProxy } from '../../support/redis/tcp-proxy.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Calls without an idempotency key whose connection breaks, and the calls that ask the same again. */

const KEYS = { alice: 'the-key-of-alice-1234', bob: 'the-key-of-bob-123456', admin: 'the-key-of-admin-1234' };

let instance: Instance;
let other: Producer;
let urls: [string, string];
let redis: Redis;
beforeAll(async () => {
  const keys = Object.entries(KEYS).map(([name, secret]) => ({ name, secret }));
  instance = await startInstance({ keys });
  other = await startProducer({
    settings: { ...instance.models, keys },
    redisUrl: instance.redis.url,
    prefix: 'o3q',
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
  });
  urls = [instance.url, other.url];
  redis = new Redis(instance.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await shutDown([other], { deadlineMs: 1000, hurry: AbortSignal.abort() });
  await instance.stop();
});
beforeEach(async () => {
  instance.simulator.ledger.reset();
  for (const key of await undelivered('*')) await redis.unlink(key);
});

interface Told {
  id: string;
  status: string;
  output: unknown[];
}
interface Options {
  url?: string;
  headers?: Record<string, string>;
  key?: string;
}

const asks = (input: string, thinkMs = 500, metadata: Record<string, string> = {}) => ({
  model: 'o3',
  input,
  metadata: { sim_think_ms: String(thinkMs), ...metadata },
});
type Body = ReturnType<typeof asks> & { stream?: boolean };

/** Sends a request as a program without an SDK does. */
function send(
  body: Body,
  { url = instance.url, headers = {}, key = KEYS.alice }: Options,
  signal?: AbortSignal,
) {
  return fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify(body),
    ...(signal !== undefined && { signal }),
  });
}
async function ask(body: Body, options: Options = {}): Promise<Told> {
  const answer = await send(body, options);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Told;
}
const totals = () => instance.simulator.ledger.totals();
const bought = (count: number): Promise<void> => eventually(() => expect(totals().purchases).toBe(count));
const undelivered = (part: string): Promise<string[]> => redis.keys(`o3q:undelivered:*:${part}`);
const leftCount = async (): Promise<number> => {
  const counts = await Promise.all((await undelivered('left')).map((key) => redis.zcard(key)));
  return counts.reduce((sum, count) => sum + count, 0);
};

/** Sends a request, and breaks the connection when its job has been bought. @returns the response's id. */
async function askAndBreakOff(body: Body, options: Options = {}): Promise<string> {
  const [before, left] = [totals().purchases, await leftCount()];
  const gone = new AbortController();
  const broken = send(body, options, gone.signal)
    .then((answer) => answer.text())
    .catch(() => 'broken');
  await bought(before + 1);
  gone.abort();
  expect(await broken).toBe('broken');
  if (options.headers?.['O3Q-On-Disconnect'] === undefined) {
    await eventually(async () => expect(await leftCount()).toBe(left + 1));
  }
  const { body: listed } = await call(instance.url, 'GET', '/jobs?limit=1', { headers: bearer(KEYS.admin) });
  return responseIdOf((listed as { jobs: { id: string }[] }).jobs[0]?.id ?? '');
}
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const jobOf = (id: string): string => id.replace(/^resp_/, 'job_');

describe('a call whose connection broke before its answer was delivered', () => {
  it.each([
    [false, 0],
    [false, 1],
    [true, 0],
    [true, 1],
  ])(
    '(streamed: %s) leaves its job to the next call with the same request, on producer %i',
    async (stream, at) => {
      const body = { ...asks(`Broken ${stream} ${at}?`), ...(stream && { stream }) };
      const id = await askAndBreakOff(body);
      const url = urls[at] ?? '';
      const answer = await send(body, { url });
      const text = await answer.text();
      expect(text).toContain(`"id":"${id}"`);
      expect(text).toContain('"status":"completed"');
      expect(totals()).toMatchObject({ purchases: 1, cancels: 0 });
    },
  );

  it.each([0, 1])('leaves it to a call that comes in the same instant, on producer %i', async (at) => {
    for (let round = 1; round <= 3; round += 1) {
      const body = asks(`At once on ${at}, ${round}?`);
      const gone = new AbortController();
      const broken = send(body, {}, gone.signal).catch(() => 'broken');
      await bought(round);
      gone.abort();
      await ask(body, { url: urls[at] ?? '' });
      expect(await broken).toBe('broken');
      expect(totals().purchases).toBe(round);
    }
  });

  it('leaves an answer that has come in the meantime', async () => {
    const body = asks('Ended meanwhile?', 300);
    const id = await askAndBreakOff(body);
    await eventually(() => expect(totals().completed).toBe(1));
    expect(await ask(body)).toMatchObject({ id, status: 'completed' });
    expect(totals().purchases).toBe(1);
  });

  it('leaves it to one of many calls that come at once, and the others buy their own', async () => {
    const body = asks('Twenty?');
    const id = await askAndBreakOff(body);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => ask(body, { url: urls[i % 2] ?? '' })),
    );
    expect(answers.filter((answer) => answer.id === id)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.id)).size).toBe(20);
    expect(totals().purchases).toBe(20);
  });

  it('leaves it again when the next connection breaks too', async () => {
    const body = asks('Broken twice?', 1500);
    const id = await askAndBreakOff(body);
    const gone = new AbortController();
    const second = send(body, { url: other.url }, gone.signal).catch(() => 'broken');
    await eventually(async () => expect(await leftCount()).toBe(0));
    gone.abort();
    expect(await second).toBe('broken');
    await eventually(async () => expect(await leftCount()).toBe(1));
    expect(await ask(body)).toMatchObject({ id, status: 'completed' });
    expect(totals().purchases).toBe(1);
  });

  it('leaves the newest job of several', async () => {
    const body = asks('Newest?', 800);
    const first = await askAndBreakOff(body);
    const second = await askAndBreakOff(body, { headers: { 'O3Q-Again': '1' } });
    expect(second).not.toBe(first);
    expect(await ask(body)).toMatchObject({ id: second });
    expect(await ask(body)).toMatchObject({ id: first });
    expect(totals().purchases).toBe(2);
  });

  it('leaves nothing to a call with O3Q-Again: 1, and a retry of that call finds its own job', async () => {
    const body = asks('A second answer?', 1000);
    const first = await askAndBreakOff(body);
    const proxy = await openTcpProxy(instance.url);
    const { client, tries } = openSdk(new URL(proxy.url).origin, { apiKey: KEYS.alice });
    const asked = client.responses.create(body, { headers: { 'O3Q-Again': '1' } });
    await bought(2);
    proxy.reset();
    expect((await asked).id).not.toBe(first);
    expect(tries).toHaveLength(2);
    expect(await ask(body)).toMatchObject({ id: first });
    expect(totals().purchases).toBe(2);
    await proxy.close();
  });

  it('leaves no job that was cancelled or has failed', async () => {
    const cancelled = asks('Cancelled?', 60_000);
    const id = await askAndBreakOff(cancelled);
    await call(instance.url, 'POST', `/jobs/${jobOf(id)}/cancel`, { headers: bearer(KEYS.alice) });
    const gone = new AbortController();
    const next = send(cancelled, {}, gone.signal).catch(() => 'broken');
    await bought(2);
    gone.abort();
    await next;

    const failing = asks('Failed?', 300, { sim: 'failed', sim_code: 'invalid_prompt', sim_times: '1' });
    const failed = await askAndBreakOff(failing);
    await eventually(() => expect(totals().failed).toBe(1));
    const job = async () =>
      (await call(instance.url, 'GET', `/jobs/${jobOf(failed)}`, { headers: bearer(KEYS.alice) })).body;
    await eventually(async () => expect(await job()).toMatchObject({ status: 'failed' }));
    expect(await ask(failing)).toMatchObject({ id: expect.not.stringMatching(failed), status: 'completed' });
  });

  it('leaves nothing when it asked to be cancelled at a disconnect', async () => {
    const body = asks('Stop, then again?', 2000);
    const headers = { 'O3Q-On-Disconnect': 'cancel' };
    const id = await askAndBreakOff(body, { headers });
    await eventually(() => expect(totals()).toMatchObject({ cancelled: 1 }));
    expect(await ask(body)).toMatchObject({ id: expect.not.stringMatching(id), status: 'completed' });
    expect(totals().purchases).toBe(2);
  });

  it('leaves it to no other tenant, no other body and no other options', async () => {
    const body = asks('Whose?', 800);
    const id = await askAndBreakOff(body);
    const others = await Promise.all([
      ask(body, { key: KEYS.bob }),
      ask(asks('Whose??', 800)),
      ask(body, { headers: { 'O3Q-Priority': '1' } }),
    ]);
    for (const answer of others) expect(answer.id).not.toBe(id);
    expect(await ask(body)).toMatchObject({ id });
    expect(totals().purchases).toBe(4);
  });

  it('leaves it for ten minutes', async () => {
    const body = asks('Too late?', 300);
    const id = await askAndBreakOff(body);
    const [key] = await undelivered('left');
    expect(await redis.pttl(key ?? '')).toBeGreaterThan(590_000);
    const [member = '', score = ''] = await redis.zrange(key ?? '', '0', '0', 'WITHSCORES');
    const [name = '', at = ''] = member.split(' ');
    await redis.zrem(key ?? '', member);
    await redis.zadd(key ?? '', score, `${name} ${String(Number(at) - 600_001)}`);
    expect(await ask(body)).toMatchObject({ id: expect.not.stringMatching(id) });
    expect(totals().purchases).toBe(2);
  });
});

describe('calls with the same request', () => {
  it('at the same time, on one producer or two, have a job each', async () => {
    const body = asks('Four answers?', 1000);
    const answers = await Promise.all([0, 1, 0, 1].map((at) => ask(body, { url: urls[at] ?? '' })));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(4);
    expect(totals().purchases).toBe(4);
  });

  it('have a job each, also after Redis was away for so long that the first producer looks dead', async () => {
    const body = asks('Was Redis away?', 2000);
    const first = ask(body, { url: urls[0] });
    await bought(1);
    // The last heartbeat is as old as after such an outage. The producer lives, and soon writes the next one.
    for (const key of await redis.keys('o3q:producer:*')) await redis.pexpire(key, 10 * 60_000 - 5000);
    const second = await ask(body, { url: urls[1] });
    expect(second.id).not.toBe((await first).id);
    expect(totals().purchases).toBe(2);
  });

  it('leave no record in Redis once their answers are delivered', async () => {
    const body = asks('Delivered?', 50);
    await Promise.all([ask(body), ask(body, { url: other.url })]);
    await Promise.all([send({ ...body, stream: true }, {}).then((answer) => answer.text())]);
    await eventually(async () => expect(await undelivered('open*')).toEqual([]));
    expect(await undelivered('producers')).toEqual([]);
    expect(totals().purchases).toBe(3);
  });
});
