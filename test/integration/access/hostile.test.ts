import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Route } from '../../../producer/http/route.ts';
import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { hostileBodies } from '../../support/hostile/bodies.ts';
import { hostileBrowsers } from '../../support/hostile/browsers.ts';
import { hostileBytes } from '../../support/hostile/bytes.ts';
import { hostileCallers } from '../../support/hostile/callers.ts';
import { everyRoute } from '../../support/hostile/every-route.ts';
import {
  alicesHead,
  bearer,
  by,
  bytes,
  type Expected,
  type HostileInput,
  type HostileWorld,
  KEYS,
  keyless,
  OPENAI_SECRET,
  openAi,
  problem,
  type Send,
  TAKEN_KEY,
} from '../../support/hostile/input.ts';
import { hostileToOpenAi } from '../../support/hostile/openai.ts';
import { type Answer, call, expectProblem } from '../../support/http/http-calls.ts';
import { openWebhookReceiver, type WebhookReceiver } from '../../support/http/webhook-receiver.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/**
 * Input of attackers, broken programs and other tenants: each has one right refusal, stores nothing and
 * reaches no one.
 */

const CALLERS_SECRET = `whsec_${Buffer.from('a secret of 24 bytes or more').toString('base64')}`;
/** Words that no answer contains by accident. */
const SECRETS = ['Cobalt', 'periscope', 'marmalade', 'zeppelin'];
const QUESTION = SECRETS.join(' ');
const A_DAY_MS = 86_400_000;

let instance: Instance;
let redis: Redis;
let receiver: WebhookReceiver;
let world: HostileWorld;

beforeAll(async () => {
  receiver = await openWebhookReceiver();
  instance = await startInstance({
    keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
    models: { allowPrivateWebhooks: false },
    // No workers, so that only requests change Redis.
    workers: 0,
    http: { maxBodyMb: 10 },
    webhookSecret: OPENAI_SECRET,
    webhooksOut: { secret: CALLERS_SECRET, retryDelaysMs: [], resolve: async () => ['127.0.0.1'] },
  });
  redis = new Redis(instance.redis.url);
  const headers = bearer(KEYS.alice);
  const ask = async (path: string, body: object, more: Record<string, string> = {}): Promise<string> => {
    const answer = await call(instance.url, 'POST', path, { body, headers: { ...headers, ...more } });
    expect([200, 202]).toContain(answer.status);
    return (answer.body as JobView).id;
  };
  const metadata = { note: QUESTION };
  const [waiting, response, cancelled] = [
    await ask(
      '/jobs',
      { question: QUESTION, metadata, delay_ms: A_DAY_MS },
      { 'idempotency-key': TAKEN_KEY },
    ),
    await ask(
      '/v1/responses',
      { model: 'o3', input: QUESTION, metadata, background: true },
      { 'o3q-delay-ms': String(A_DAY_MS) },
    ),
    await ask('/jobs', { question: QUESTION, metadata, delay_ms: A_DAY_MS }),
  ];
  await call(instance.url, 'POST', `/jobs/${cancelled}/cancel`, { headers });
  const jobs = { waiting, response: response.replace('resp_', 'job_'), cancelled };
  world = { url: instance.url, jobs, receiverUrl: receiver.url };
});

afterAll(async () => {
  redis.disconnect();
  await instance.stop();
  await receiver.close();
});

/** The key by which `GET /readyz` tries whether Redis takes writes: docs/DATA-FORMAT.md. */
const TRIED = 'o3q:ready';

/** Everything else in Redis: each key with the hash of its content. */
async function stored(): Promise<Record<string, string>> {
  const keys = (await redis.keys('*')).filter((key) => key !== TRIED).sort();
  const contents = await Promise.all(keys.map(contentOf));
  return Object.fromEntries(
    keys.map((key, i) => [key, createHash('sha256').update(JSON.stringify(contents[i])).digest('hex')]),
  );
}

/**
 * Not the bytes of DUMP, which follow the order of a hash's fields in memory, which reading alone may change.
 */
async function contentOf(key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return Object.entries(await redis.hgetall(key)).sort();
    case 'set':
      return (await redis.smembers(key)).sort();
    case 'zset':
      return redis.zrange(key, 0, '-1', 'WITHSCORES');
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'stream':
      return redis.xrange(key, '-', '+');
    default:
      throw new Error(`expected a type of Redis that this queue uses, got ${type} at ${key}`);
  }
}

function expectAnswer(answer: Answer, expected: Expected): void {
  const { status, headers, body } = answer;
  switch (expected.kind) {
    case 'problem':
      expectProblem(answer, expected.status, expected.code);
      return;
    case 'openai': {
      const message: unknown = expect.stringMatching(/\S/);
      const error = { message, type: expect.any(String), code: expected.code };
      expect({ status, body }).toMatchObject({ status: expected.status, body: { error } });
      expect(headers).toMatchObject({
        'content-type': expect.stringMatching(/^application\/json/),
        'x-request-id': expect.stringMatching(/^req_/),
      });
      return;
    }
    case 'page':
      expect(status).toBe(expected.status);
      expect(headers['content-type']).toBe('text/html; charset=utf-8');
      return;
    case 'bare':
      expect({ status, body }).toEqual({ status: expected.status, body: '' });
      return;
    default: {
      const never: never = expected;
      throw new Error(`unexpected ${JSON.stringify(never)}`);
    }
  }
}

async function refuses(expected: Expected, send: Send): Promise<Answer> {
  const before = await stored();
  const answer = await send(world);
  expectAnswer(answer, expected);
  expect(await stored()).toEqual(before);
  expect(receiver.connections).toBe(0);
  expect(instance.simulator.ledger.totals()).toMatchObject({ requests: 0, purchases: 0 });
  expect(await call(instance.url, 'GET', '/readyz')).toMatchObject({ status: 200 });
  expect(instance.logLines.splice(0).filter((line) => line.includes('unexpected'))).toEqual([]);
  return answer;
}

/** The words of alice's question that an answer reveals. */
function wordsIn({ headers, body }: Answer): string[] {
  const said = JSON.stringify([headers, body]).toLowerCase();
  return SECRETS.filter((word) => said.includes(word.toLowerCase()));
}

/** Calls this route as bob, with the id of alice's job. */
function byBob({ method, path }: Route, idOf: (world: HostileWorld) => string): [Expected, Send] {
  const isOpenAis = path.startsWith('/v1/');
  const send: Send = (aimed) => {
    const id = isOpenAis ? responseIdOf(idOf(aimed)) : idOf(aimed);
    return by('bob', method.toUpperCase(), path.replace(':id', id))(aimed);
  };
  return [isOpenAis ? openAi(404, null) : problem(404, 'job_not_found'), send];
}

const routes = everyRoute().filter(({ path }) => path.includes(':id'));
const nameOf = ({ method, path }: Route): string => `${method.toUpperCase()} ${path}`;
const foreign = routes.flatMap((route) =>
  (['waiting', 'response', 'cancelled'] as const).map(
    (job): HostileInput => [`${nameOf(route)}, ${job}`, ...byBob(route, ({ jobs }) => jobs[job])],
  ),
);

describe('bytes that are not a request', () => {
  it.each(hostileBytes)('%s', (_name, expected, send) => refuses(expected, send));
});

describe('a body', () => {
  it.each(hostileBodies)('%s', (_name, expected, send) => refuses(expected, send));
});

describe('the OpenAI API', () => {
  it.each(hostileToOpenAi)('%s', (_name, expected, send) => refuses(expected, send));
});

describe('a caller', () => {
  it.each(hostileCallers)('%s', (_name, expected, send) => refuses(expected, send));
});

describe('a browser', () => {
  it.each(hostileBrowsers)('%s', (_name, expected, send) => refuses(expected, send));
});

describe('another tenant', () => {
  it('has a row for each route that takes an id', () => {
    expect(routes.length).toBeGreaterThanOrEqual(10);
  });

  it.each(foreign)('%s is not found, and nothing about it is revealed', async (_name, expected, send) => {
    const answer = await refuses(expected, send);
    expect(wordsIn(answer)).toEqual([]);
  });
});

it('nothing of all this was stored, no prototype was polluted, and alice has what she had', async () => {
  expect({}).not.toHaveProperty('polluted');
  expect(Object.keys(Object.prototype)).toEqual([]);
  const answer = await by('alice', 'GET', '/jobs?limit=100')(world);
  expect(answer).toMatchObject({ status: 200 });
  const { jobs } = answer.body as { jobs: JobView[] };
  expect(jobs.map(({ id, status }) => ({ id, status }))).toEqual([
    { id: world.jobs.cancelled, status: 'cancelled' },
    { id: world.jobs.response, status: 'delayed' },
    { id: world.jobs.waiting, status: 'delayed' },
  ]);
  expect(await keyless('GET', '/livez')(world)).toMatchObject({ status: 200 });
});

describe('once there are workers', () => {
  let answered: string;

  beforeAll(async () => {
    instance.addWorker();
    const answer = await by('alice', 'POST', '/jobs?wait=20', { body: { question: QUESTION } })(world);
    expect(answer).toMatchObject({ status: 200, body: { status: 'completed' } });
    answered = (answer.body as JobView).id;
    const own = await by('alice', 'GET', `/jobs/${answered}/result`)(world);
    expect(JSON.stringify(own.body)).toContain(SECRETS[0]);
  });

  it.each(routes.map((route): [string, Route] => [nameOf(route), route]))(
    '%s is not found by bob, and nothing of the answer is told',
    async (_name, route) => {
      const [expected, send] = byBob(route, () => answered);
      const answer = await send(world);
      expectAnswer(answer, expected);
      expect(wordsIn(answer)).toEqual([]);
      const own = await by('alice', 'GET', `/jobs/${answered}`)(world);
      expect(own).toMatchObject({ status: 200, body: { status: 'completed' } });
    },
  );

  it('bob cannot continue from the response of alice', async () => {
    const body = { model: 'o3', input: 'Go on?', previous_response_id: responseIdOf(answered) };
    const answer = await by('bob', 'POST', '/v1/responses', { body })(world);
    expectAnswer(answer, openAi(400, 'previous_response_not_found'));
    expect(wordsIn(answer)).toEqual([]);
  });

  it('the bytes of the first table are accepted when they are valid', async () => {
    const body = JSON.stringify({ question: 'Good?', delay_ms: A_DAY_MS });
    const head = alicesHead(
      'POST',
      '/jobs',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    );
    expect(await bytes(head, body)(world)).toMatchObject({ status: 202, body: { tenant: 'alice' } });
  });

  it('a webhook to a name that resolves to a private address is abandoned, and reaches no one', async () => {
    const webhook_url = receiver.url.replace('127.0.0.1', 'hook.example.com');
    const body = { question: QUESTION, delay_ms: A_DAY_MS, webhook_url };
    const { body: job } = await by('alice', 'POST', '/jobs', { body })(world);
    await by('alice', 'POST', `/jobs/${(job as JobView).id}/cancel`)(world);
    await eventually(async () => {
      const deliveries = await by(
        'admin',
        'GET',
        '/board/api/queues?activeQueue=_webhooks&status=failed',
      )(world);
      expect(JSON.stringify(deliveries.body)).toContain('hook.example.com is 127.0.0.1, which is not public');
    });
    expect(receiver.connections).toBe(0);
  });
});
