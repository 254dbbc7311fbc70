import { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { startProducer } from '../../../producer/producer.ts';
import { createSimulator, type Simulator } from '../../../simulator/simulator.ts';
import { createLogger } from '../../../src/process/log.ts';
import { shutDown } from '../../../src/process/shutdown.ts';
import { webhookKeysOf } from '../../../src/webhooks/openai-events.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, call, expectProblem } from '../../support/http/http-calls.ts';
import { createCliProcesses } from '../../support/process/cli-process.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const SECRET = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;
const PATH = '/webhooks/openai';
const ENDED = webhookKeysOf('o3q').ended;

const cli = createCliProcesses();
let redis: TestRedis;
let instance: Instance;
let inspector: Redis;

beforeAll(async () => {
  redis = await startTestRedis();
  instance = await startInstance({ redis, workers: 0, webhookSecret: SECRET });
  inspector = new Redis(redis.url);
  inspector.on('error', () => {});
});
beforeEach(() => inspector.flushall());
afterEach(() => cli.end());
afterAll(async () => {
  inspector.disconnect();
  await instance.stop();
  await redis.stop();
});

function ended(): Promise<string[]> {
  return inspector.zrange(ENDED, 0, '-1');
}

interface Sending {
  id?: string;
  sentAt?: Date;
  secret?: string;
  to?: string;
}

/** Signs and sends a webhook as OpenAI does. */
function send(
  content: unknown,
  { id = 'wh_1', sentAt = new Date(), secret = SECRET, to = instance.url }: Sending = {},
): Promise<Answer> {
  const body = typeof content === 'string' ? content : JSON.stringify(content);
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, sentAt, body),
  };
  return call(to, 'POST', PATH, { body, headers });
}

function completed(responseId: string): object {
  return { id: 'evt_1', object: 'event', type: 'response.completed', data: { id: responseId } };
}

async function sendingSimulator(secret = SECRET): Promise<{ simulator: Simulator; url: string }> {
  const webhookUrl = `${instance.url}${PATH}`;
  const simulator = createSimulator({ thinkMs: 20, webhookUrl, webhookSecret: secret });
  return { simulator, url: (await simulator.listen(0)).url.replace(/\/v1$/, '') };
}

async function buy(url: string, metadata: Record<string, string> = {}): Promise<string> {
  const body = { model: 'o3', input: 'x', background: true, metadata };
  // Not `call`, which compares an answer with the document of the producer.
  const answer = await fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { id: string }).id;
}

it('a webhook of the simulator is accepted, stored, and announced once', async () => {
  const { simulator, url } = await sendingSimulator();
  try {
    const [plain, twice, failed] = [
      await buy(url),
      await buy(url, { sim: 'webhook_twice' }),
      await buy(url, { sim: 'failed' }),
    ];
    await buy(url, { sim: 'webhook_forged' });
    await eventually(() => expect(simulator.ledger.totals()).toMatchObject({ webhooks: 4 }));
    const ids = (await ended()).map((member) => member.split(' ')[1]);
    expect(ids.toSorted()).toEqual([plain, twice, failed].toSorted());
  } finally {
    await simulator.close();
  }
});

it('a webhook is answered when it comes first, and as a duplicate when it comes again', async () => {
  const first = await send(completed('resp_1'));
  expect(first).toMatchObject({ status: 200, body: { status: 'received' } });
  const second = await send(completed('resp_1'));
  expect(second).toMatchObject({ status: 200, body: { status: 'duplicate' } });
  expect(await ended()).toEqual(['wh_1 resp_1']);
});

it('events that are not of a response are answered and ignored', async () => {
  const answer = await send({ id: 'evt_1', type: 'batch.completed', data: { id: 'batch_1' } });
  expect(answer).toMatchObject({ status: 200, body: { status: 'ignored' } });
  expect(await ended()).toEqual([]);
});

it.each<[string, Sending]>([
  ['another secret', { secret: 'whsec_b3RoZXI=' }],
  ['a time six minutes ago', { sentAt: new Date(Date.now() - 360_000) }],
  ['a time in six minutes', { sentAt: new Date(Date.now() + 360_000) }],
])('a signature with %s is refused, and the log says so', async (_what, sending) => {
  expectProblem(await send(completed('resp_1'), sending), 400, 'invalid_signature');
  expect(await ended()).toEqual([]);
  expect(instance.logLines.join()).toContain('a webhook was refused');
});

it('a body that was changed on its way or has no signature is refused', async () => {
  const sentAt = new Date();
  const headers = {
    'webhook-id': 'wh_1',
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
    'webhook-signature': new Webhook(SECRET).sign('wh_1', sentAt, JSON.stringify(completed('resp_1'))),
  };
  const changed = await call(instance.url, 'POST', PATH, { body: completed('resp_2'), headers });
  expectProblem(changed, 400, 'invalid_signature');
  expectProblem(await call(instance.url, 'POST', PATH, { headers }), 400, 'invalid_signature');
  const bare = await call(instance.url, 'POST', PATH, { body: completed('resp_1') });
  expectProblem(bare, 400, 'invalid_signature');
  expect(bare.body).toMatchObject({ detail: expect.stringContaining('OPENAI_WEBHOOK_SECRET') });
  expect(await ended()).toEqual([]);
});

it.each<[string, unknown, string]>([
  ['no JSON', '{"type":', 'malformed_json'],
  ['no event', [1], 'invalid_request'],
  ['an event without a response', { type: 'response.completed' }, 'invalid_request'],
  ['a response whose id is none', { type: 'response.completed', data: { id: 'a b' } }, 'invalid_request'],
])('signed content that is %s is refused', async (_what, content, code) => {
  expectProblem(await send(content), 400, code);
  expect(await ended()).toEqual([]);
});

it('a signed webhook of more than 100 kB is refused, and so are other methods', async () => {
  const answer = await send({ ...completed('resp_1'), filling: 'x'.repeat(101 * 1024) });
  expectProblem(answer, 413, 'body_too_large');
  expect(answer.body).toMatchObject({ detail: expect.stringContaining('at most 100 kB') });
  expectProblem(await call(instance.url, 'GET', PATH), 405, 'method_not_allowed');
});

it('a producer without the secret says what to set', async () => {
  const producer = await startProducer({
    settings: instance.models,
    redisUrl: redis.url,
    prefix: 'o3q',
    host: '127.0.0.1',
    port: 0,
    logger: createLogger({ level: 'silent', secrets: [], pretty: false }),
  });
  try {
    const answer = await send(completed('resp_1'), { to: producer.url });
    expectProblem(answer, 404, 'webhooks_not_configured');
    expect(answer.body).toMatchObject({ detail: expect.stringContaining('OPENAI_WEBHOOK_SECRET') });
  } finally {
    await shutDown([producer], { deadlineMs: 5000, hurry: new AbortController().signal });
  }
});

it("the simulator's webhooks reach a producer with the same OPENAI_WEBHOOK_SECRET", async () => {
  const producer = await cli.start(['producer'], {
    REDIS_URL: redis.url,
    PORT: '0',
    OPENAI_WEBHOOK_SECRET: SECRET,
  });
  const to = await producer.says(/^o3-queue producer ready on (http:\S+)$/m);
  const simulator = await cli.start([
    ...['simulator', '--port', '0', '--think-ms', '20'],
    ...['--webhook-url', `${to}${PATH}`, '--webhook-secret', SECRET],
  ]);
  const base = await simulator.says(/^o3-queue simulator ready on (http:\S+)\/v1$/m);
  const id = await buy(base);
  await eventually(async () =>
    expect(await ended()).toEqual([expect.stringMatching(new RegExp(`^wh_\\w+ ${id}$`))]),
  );
  const alone = await cli.start(['simulator', '--port', '0', '--webhook-url', to]);
  expect(await alone.exited).toMatchObject({ code: 2, stderr: expect.stringContaining('webhookSecret') });
});

it('a webhook gets 503 while Redis is away, so that OpenAI sends it again, and is then accepted', async () => {
  const { simulator, url } = await sendingSimulator();
  try {
    await redis.kill('SIGKILL');
    await eventually(async () => {
      expectProblem(await send(completed('resp_1')), 503, 'redis_unavailable');
    });
    const id = await buy(url);
    await redis.restart();
    await eventually(async () => {
      expect((await ended()).map((member) => member.split(' ')[1])).toEqual([id]);
      expect(simulator.ledger.totals()).toMatchObject({ webhooks: 1 });
    });
  } finally {
    await simulator.close();
  }
  expect(instance.logLines.filter((line) => line.includes('unexpected'))).toEqual([]);
});
