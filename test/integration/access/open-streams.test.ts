import type { ApiKey } from '../../../src/config/api-keys.ts';
import type { JobView } from '../../../src/job/view.ts';
import { eventually } from '../../support/eventually.ts';
import { call } from '../../support/http/http-calls.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = {
  admin: 'the-key-of-the-administrator',
  alice: 'the-key-of-alice-1234',
  bob: 'the-key-of-bob-123456',
};
const keys: ApiKey[] = Object.entries(KEYS).map(([name, secret]) => ({ name, secret }));
const bearer = (name: keyof typeof KEYS) => ({ authorization: `Bearer ${KEYS[name]}` });

let instance: Instance;
beforeAll(async () => {
  instance = await startInstance({
    keys,
    models: { tenants: { alice: { weight: 1, onBudgetExhausted: 'wait', maxStreams: 2 } } },
  });
});
afterAll(() => instance.stop());

async function delayedJob(name: keyof typeof KEYS): Promise<JobView> {
  const body = { question: 'Later?', delay_ms: 3_600_000 };
  return (await call(instance.url, 'POST', '/jobs', { body, headers: bearer(name) })).body as JobView;
}

/** Opens the events of a job, and returns how to close them. */
async function open(name: keyof typeof KEYS, id: string): Promise<{ status: number; close: () => void }> {
  const gone = new AbortController();
  const answer = await fetch(`${instance.url}/jobs/${id}/events`, {
    headers: bearer(name),
    signal: gone.signal,
  });
  return { status: answer.status, close: () => gone.abort() };
}

it('maxStreams limits the event streams of a tenant, of /jobs and of /v1, until one of them closes', async () => {
  const { id } = await delayedJob('alice');
  const first = await open('alice', id);
  const second = await open('alice', id);
  expect([first.status, second.status]).toEqual([200, 200]);
  expect(await call(instance.url, 'GET', `/jobs/${id}/events`, { headers: bearer('alice') })).toMatchObject({
    status: 429,
    headers: { 'retry-after': '5' },
    body: {
      code: 'too_many_streams',
      detail:
        'alice has 2 open event streams at this producer, and may have 2. Close some, ask for the result with ' +
        '?wait, or raise maxStreams in o3q.config.json',
    },
  });

  const jobsBefore = await call(instance.url, 'GET', '/jobs', { headers: bearer('alice') });
  const body = { model: 'o3', input: 'Streamed?', stream: true };
  expect(await call(instance.url, 'POST', '/v1/responses', { body, headers: bearer('alice') })).toMatchObject(
    { status: 429, body: { error: { code: 'too_many_streams', type: 'requests' } } },
  );
  const jobsAfter = await call(instance.url, 'GET', '/jobs', { headers: bearer('alice') });
  expect(jobsAfter.body).toEqual(jobsBefore.body);

  const { id: bobs } = await delayedJob('bob');
  const opened = [await open('bob', bobs), await open('bob', bobs), await open('bob', bobs)];
  expect(opened.map(({ status }) => status)).toEqual([200, 200, 200]);

  second.close();
  const third = await eventually(async () => {
    const again = await open('alice', id);
    expect(again.status).toBe(200);
    return again;
  });
  for (const { close } of [first, third, ...opened]) close();
});
