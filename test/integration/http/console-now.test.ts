import type { NowState } from '../../../producer/console/now/now-state.ts';
import type { ApiKey } from '../../../src/config/api-keys.ts';
import { eventually } from '../../support/eventually.ts';
import { type Answer, type CallOptions, call } from '../../support/http/http-calls.ts';
import { type Instance, quickModels, startInstance } from '../../support/worlds/instance.ts';

const KEYS: ApiKey[] = [
  { name: 'admin', secret: 'the-key-of-the-administrator' },
  { name: 'alice', secret: 'the-key-of-alice-1234' },
  { name: 'bob', secret: 'the-key-of-bob-123456' },
  { name: 'carol', secret: 'the-key-of-carol-1234' },
];

describe('the page Now of an instance with keys', () => {
  let instance: Instance;
  beforeAll(async () => {
    const { tenants, ...models } = quickModels();
    instance = await startInstance({
      keys: KEYS,
      models: {
        ...models,
        tenants: { ...tenants, alice: { weight: 1, maxInFlight: 1, onBudgetExhausted: 'wait' } },
      },
    });
  });
  afterAll(() => instance.stop());

  const as = (name: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> =>
    call(instance.url, method, path, {
      ...options,
      headers: {
        accept: 'text/html',
        authorization: `Bearer ${KEYS.find((key) => key.name === name)?.secret}`,
        ...options.headers,
      },
    });
  const nowOf = async (name: string): Promise<NowState> =>
    (await as(name, 'GET', '/console/now')).body as NowState;

  it('is where /console leads', async () => {
    const headers = { accept: 'text/html', authorization: `Bearer ${KEYS[0]?.secret}` };
    const answer = await fetch(`${instance.url}/console`, { headers, redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/']);
  });

  it('counts for a tenant only its own jobs, and says what they wait for', async () => {
    const bodies = ['The first?', 'The second?', 'The third?'].map((question) => ({
      question: `${question} A secret of Alice`,
      metadata: { sim: 'stuck_queued' },
    }));
    for (const body of bodies) await as('alice', 'POST', '/jobs', { body });
    await eventually(async () =>
      expect(await nowOf('alice')).toMatchObject({
        models: [
          {
            model: 'o3',
            status: 'open',
            unfinished: 3,
            waiting: 2,
            runnable: 0,
            active: null,
            oldest_at: expect.any(String),
            reason: 'tenant alice is at its limit of 1 job in flight',
            instance: null,
          },
        ],
        running: [{ tenant: 'alice', status: 'active', question: 'The first? A secret of Alice' }],
        jobs: [{ tenant: 'alice' }, { tenant: 'alice' }, { tenant: 'alice' }],
      }),
    );
    expect(await nowOf('bob')).toMatchObject({
      models: [{ unfinished: 0, waiting: 0, runnable: 0, active: null, oldest_at: null, reason: null }],
      today: { requests: 0, cost_usd: 0 },
      running: [],
      jobs: [],
    });
    expect(String((await as('bob', 'GET', '/')).body)).not.toMatch(/Alice/i);
    await eventually(async () =>
      expect(await nowOf('admin')).toMatchObject({
        models: [
          { unfinished: 3, waiting: 2, runnable: 0, active: 1, instance: { workers: 1, in_flight: 1 } },
        ],
      }),
    );
  });

  it('adds up what a tenant has spent today', async () => {
    const { body } = await as('carol', 'POST', '/jobs?wait=60', { body: { question: 'What does it cost?' } });
    expect(body).toMatchObject({ status: 'completed' });
    const { today, models } = await nowOf('carol');
    expect(today).toEqual({ requests: 1, cost_usd: expect.any(Number) });
    expect(today.cost_usd).toBeGreaterThan(0);
    expect(models).toMatchObject([{ today }]);
    expect((await nowOf('alice')).today).toEqual({ requests: 0, cost_usd: 0 });
  });

  it('lets admin resume a model, and no tenant and no page of another site', async () => {
    const resume = '/console/models/o3/resume';
    await as('admin', 'PUT', '/board/api/queues/o3/pause');
    const stateOf = async (): Promise<unknown> => (await as('admin', 'GET', '/models')).body;
    expect(await as('alice', 'POST', resume)).toMatchObject({ status: 403 });
    const login = await call(instance.url, 'POST', '/login', {
      body: `key=${KEYS[0]?.secret}&next=/`,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' },
    });
    const cookie = String(login.headers['set-cookie'])
      .split(',')
      .map((part) => part.split(';')[0])
      .join('; ');
    const from = (site: string): Promise<Answer> =>
      call(instance.url, 'POST', resume, { headers: { cookie, 'sec-fetch-site': site } });
    expect(await from('cross-site')).toMatchObject({ status: 403 });
    expect(await stateOf()).toMatchObject({ models: [{ state: { status: 'paused' } }] });
    expect(await from('same-origin')).toMatchObject({ status: 303, headers: { location: '/' } });
    expect(await stateOf()).toMatchObject({ models: [{ state: { status: 'open' } }] });
    expect(await as('admin', 'POST', '/console/models/o4/resume')).toMatchObject({ status: 404 });
  });
});
