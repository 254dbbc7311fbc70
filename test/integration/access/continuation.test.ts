import { Redis } from 'ioredis';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import type { JobView } from '../../../src/job/view.ts';
import { type Answer, call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

/** Who may continue from which response of the upstream, by its own id. */

const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
} as const;
const keys: ApiKey[] = Object.entries(KEYS).map(([name, secret]) => ({ name, secret }));

let instance: Instance;
let bought: string;
let redis: Redis;
beforeAll(async () => {
  instance = await startInstance({ keys });
  redis = new Redis(instance.redis.url);
  bought = await buy('alice');
});
afterAll(async () => {
  redis.disconnect();
  await instance.stop();
});

function post(tenant: keyof typeof KEYS, path: string, body: object): Promise<Answer> {
  return call(instance.url, 'POST', path, { body, headers: { authorization: `Bearer ${KEYS[tenant]}` } });
}

/** Buys a response, and returns the upstream's id of it. */
async function buy(tenant: keyof typeof KEYS): Promise<string> {
  const answer = await post(tenant, '/jobs?wait=20', { question: 'First?' });
  const job = answer.body as JobView;
  if (job.status !== 'completed' || job.upstream_id === null) throw new Error(JSON.stringify(answer));
  return job.upstream_id;
}

const continuing = (previous_response_id: string) => ({
  model: 'o3',
  input: 'And then?',
  previous_response_id,
});
const notFound = (id: string) => ({
  status: 400,
  body: {
    error: {
      message: `Previous response with id '${id}' not found.`,
      type: 'invalid_request_error',
      param: 'previous_response_id',
      code: 'previous_response_not_found',
    },
  },
});

it.each(['alice', 'admin'] as const)('%s continues from a response that alice has bought', async (tenant) => {
  const purchases = instance.simulator.ledger.totals().purchases;
  const answer = await post(tenant, '/v1/responses', continuing(bought));
  expect(answer).toMatchObject({ status: 200, body: { previous_response_id: bought, status: 'completed' } });
  const job = await post(tenant, '/jobs?wait=20', { request: continuing(bought) });
  expect(job).toMatchObject({ body: { status: 'completed' } });
  expect(instance.simulator.ledger.totals().purchases).toBe(purchases + 2);
});

it.each([
  ['a job', {}, undefined],
  // It may be bought in a completion window, and the upstream must know then what its follow-ups follow.
  ['a job with a time when it is needed', { needed_by: '2020-01-01T00:00:00Z' }, 'itself'],
])('the follow-ups of %s belong to its chain', async (_what, more, own) => {
  const chainOf = async (id: string): Promise<unknown> => {
    const [data = '', options = ''] = await redis.hmget(`o3q:{o3}:${id}`, 'data', 'opts');
    const [inData, inOptions] = [data, options].map((text) => JSON.parse(text ?? '').continuation);
    expect(inOptions).toBe(inData);
    return inData;
  };
  const first = ((await post('alice', '/jobs?wait=20', { question: 'First?', ...more })).body as JobView).id;
  expect(await chainOf(first)).toBe(own === undefined ? undefined : first);
  let id = first;
  for (const door of ['/jobs?wait=20', '/v1/responses']) {
    const body = continuing(id.replace('job_', 'resp_'));
    const answer = await post('alice', door, door === '/v1/responses' ? body : { request: body });
    id = (answer.body as JobView).id.replace('resp_', 'job_');
    expect(await chainOf(id)).toBe(first);
  }
});

it('bob does not, at any door, and nothing is sent', async () => {
  const sent = () => instance.simulator.ledger.entries().filter(({ question }) => question === 'And then?');
  const before = sent().length;
  for (const more of [{}, { stream: true }, { background: true }]) {
    const answer = await post('bob', '/v1/responses', { ...continuing(bought), ...more });
    expect(answer).toMatchObject(notFound(bought));
  }
  const invalid = { status: 400, body: { code: 'invalid_request' } };
  expect(await post('bob', '/jobs', { request: continuing(bought) })).toMatchObject(invalid);
  const smuggled = { request: { model: 'o3', input: 'And then?' }, previous_upstream_id: bought };
  expect(await post('bob', '/jobs', smuggled)).toMatchObject(invalid);
  const bulk = { jobs: [{ request: continuing(bought) }, { question: 'Mine?' }] };
  expect(await post('bob', '/jobs/bulk', bulk)).toMatchObject({
    body: { outcomes: [{ status: 400, problem: { code: 'invalid_request' } }, { status: 202 }] },
  });
  expect(sent()).toHaveLength(before);
});

it('a response that was bought elsewhere is not found either', async () => {
  expect(await post('alice', '/v1/responses', continuing('resp_elsewhere'))).toMatchObject(
    notFound('resp_elsewhere'),
  );
});

it('without keys every caller continues from every response', async () => {
  const open = await startInstance({ redis: instance.redis, upstream: { baseUrl: instance.upstreamUrl } });
  try {
    const answer = await call(open.url, 'POST', '/v1/responses', { body: continuing(bought) });
    expect(answer).toMatchObject({ status: 200, body: { status: 'completed' } });
  } finally {
    await open.stop();
  }
});
