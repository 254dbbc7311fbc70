import type { OddReplyName } from '../../../simulator/faults/odd-replies.ts';
import { O3Client } from '../../../src/client/o3-client.ts';
import { defaultModels, type ModelConfig } from '../../../src/config/file.ts';
import type { ModelView } from '../../../src/models/view.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import type { WorkerHealth } from '../../../worker/health.ts';
import { startWorkerHealth } from '../../../worker/health.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { type Instance, startInstance } from '../../support/worlds/instance.ts';

const KEYS = { admin: 'the-secret-of-admin', alice: 'the-secret-of-alice' };
const TODAY = utcDay(Date.now());
/** So that a midnight in between changes nothing. */
const OVER = daysBefore(TODAY, 3);
const SOON = daysBefore(TODAY, -2);
const DAY_MS = 86_400_000;

function aliases(): Record<string, ModelConfig> {
  const { o3 } = defaultModels().models;
  if (o3 === undefined) throw new Error('expected o3');
  const sold = (upstream: string, ...fallbacks: string[]): ModelConfig => ({ ...o3, upstream, fallbacks });
  return {
    o3: sold('o3'),
    old: sold('o3-pro', 'gpt-5.6-sol'),
    near: sold('gpt-5'),
    moved: sold('gpt-5.1', 'gpt-5.2', 'gpt-5.4'),
    lost: sold('gpt-5.5'),
  };
}

interface Readiness {
  status: string;
  reasons?: string[];
}

describe('models that come and go', () => {
  let instance: Instance;
  let health: WorkerHealth;
  let client: O3Client;
  const admin = { authorization: `Bearer ${KEYS.admin}` };

  beforeAll(async () => {
    instance = await startInstance({
      workers: 0,
      models: { models: aliases() },
      keys: Object.entries(KEYS).map(([name, secret]) => ({ name, secret })),
      simulator: {
        models: [
          { id: 'o3' },
          { id: 'o3-pro', shutdownDate: OVER },
          { id: 'gpt-5', shutdownDate: SOON },
          ...['gpt-5.1', 'gpt-5.2', 'gpt-5.4', 'gpt-5.5', 'gpt-5.6-sol'].map((id) => ({ id })),
        ],
      },
    });
    client = new O3Client({ url: instance.url, apiKey: KEYS.admin });
    // Before a worker looks: one that will outlive its model.
    await client.enqueue({ question: 'And later?', model: 'near', delay_ms: 6 * DAY_MS });
    const worker = instance.addWorker();
    await worker.alive;
    health = await startWorkerHealth(() => worker, '127.0.0.1', 0);
  });
  afterAll(async () => {
    await health.close();
    await instance.stop();
  });

  const readiness = async (): Promise<[Readiness, Readiness]> => {
    const producer = await call(instance.url, 'GET', '/readyz');
    const worker = await fetch(`http://127.0.0.1:${health.port}/readyz`);
    expect([producer.status, worker.status]).toEqual([200, 200]);
    return [producer.body as Readiness, (await worker.json()) as Readiness];
  };
  const viewOf = async (name: string): Promise<ModelView> => {
    const view = (await client.models()).find(({ model }) => model === name);
    if (view === undefined) throw new Error(`expected ${name} among the models`);
    return view;
  };
  const metrics = async (): Promise<string> =>
    (await fetch(`http://127.0.0.1:${health.port}/metrics`)).text();
  const change = async (id: string, to: object): Promise<void> => {
    const url = new URL(`/simulator/models/${id}`, instance.upstreamUrl);
    const reply = await fetch(url, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(to),
    });
    expect(reply.status).toBe(200);
  };
  const logged = (message: string): Record<string, unknown>[] =>
    instance.logLines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ msg }) => msg === message);

  it('a model whose account has no money keeps its jobs, says so everywhere, and resumes by hand', async () => {
    expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
    instance.simulator.setWeather({ model: 'o3', money: 'out' });
    const { id } = await client.enqueue({ question: 'Who pays?' });
    await eventually(async () => {
      expect(await client.get(id)).toMatchObject({
        status: 'waiting',
        purchases: 0,
        waiting_for: expect.stringMatching(/^quota exhausted: /),
      });
    });
    const reasons = [expect.stringMatching(/^o3: quota exhausted \(.* \d{4}-\d\d-\d\dT.*o3q resume o3/)];
    await eventually(async () => {
      expect(await readiness()).toEqual([
        { status: 'degraded', reasons },
        { status: 'degraded', reasons },
      ]);
    });
    expect((await viewOf('o3')).state).toMatchObject({ status: 'paused', waiting: 1, in_flight: 0 });
    await eventually(async () => {
      const text = await metrics();
      expect(text).toContain('o3q_quota_stopped{upstream_model="o3",reason="quota_exhausted"} 1');
      expect(text).toContain('o3q_quota_stopped{upstream_model="gpt-5",reason="quota_exhausted"} 0');
      expect(text).toContain('o3q_waiting_jobs{model="o3"} 1');
    });
    const board = await fetch(`${instance.url}/board/api/queues?activeQueue=o3`, { headers: admin });
    const { queues } = (await board.json()) as { queues: { name: string; description?: string }[] };
    expect(queues.find(({ name }) => name === 'o3')?.description).toMatch(/^quota exhausted/);
    // Another model's account is another's.
    const other = await client.enqueue({ question: 'And you?', model: 'near' });
    expect(await client.wait(other.id)).toMatchObject({ status: 'completed' });

    const environment = { O3Q_URL: instance.url, O3Q_API_KEY: KEYS.admin };
    const table = await o3q(['models'], { environment });
    expect(table).toMatchObject({ code: 0, stderr: '' });
    expect(table.stdout).toMatch(/^MODEL .*\no3 +o3 +paused +1 /);
    expect(table.stdout).toMatch(/\no3: quota exhausted/);
    instance.simulator.setWeather({ model: 'o3', money: 'in' });
    expect(await o3q(['resume', 'o3'], { environment })).toEqual({
      code: 0,
      stdout: 'o3 is resumed\n',
      stderr: '',
    });
    // Long before a probe would have come.
    expect(await client.wait(id, { timeoutMs: 30_000 })).toMatchObject({ status: 'completed', purchases: 1 });
    await eventually(async () => {
      expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
    });
    expect(await client.resume('o3')).toEqual({
      ...{ model: 'o3', upstream_models: ['o3'] },
      ...{ resumed: false, ended_on_board: [] },
    });
    expect((await viewOf('o3')).state).toMatchObject({
      status: 'open',
      until: null,
      reason: null,
      waiting: 0,
    });
  });

  it('a 429 is counted and shown, and degrades nothing', async () => {
    instance.simulator.setWeather({ model: 'o3', throttle_ms: 50_000 });
    const { id } = await client.enqueue({ question: 'Too many?' });
    await eventually(async () => expect((await viewOf('o3')).state.status).toBe('rate_limited'));
    // What readiness says may be a second old: until the same look knows of the throttling.
    await eventually(async () =>
      expect(await metrics()).toMatch(/^o3q_quota_stopped\{[^}]*reason="rate_limited"[^}]*\} 1$/m),
    );
    expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
    expect(await metrics()).toMatch(/^o3q_throttled_total\{model="o3"\} 1$/m);
    instance.simulator.setWeather({ model: 'o3', throttle_ms: 0 });
    await client.resume('o3');
    expect(await client.wait(id)).toMatchObject({ status: 'completed' });
  });

  it('an overloaded upstream degrades the instance until it answers again', async () => {
    instance.simulator.setWeather({ model: 'o3', overloaded: true });
    const questions = Array.from({ length: 6 }, (_, i) => `Too much, number ${i}?`);
    const jobs = await Promise.all(questions.map((question) => client.enqueue({ question })));
    const reasons = [
      expect.stringMatching(/^o3: the upstream of o3 is unreachable or overloaded; one job tries/),
    ];
    await eventually(async () => {
      expect(await readiness()).toEqual([
        { status: 'degraded', reasons },
        { status: 'degraded', reasons },
      ]);
    });
    expect((await viewOf('o3')).state).toMatchObject({ status: 'down', until: expect.any(String) });
    instance.simulator.setWeather({ model: 'o3', overloaded: false });
    for (const { id } of jobs)
      expect(await client.wait(id, { timeoutMs: 60_000 })).toMatchObject({ status: 'completed' });
    await eventually(async () => {
      expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
    });
  });

  it('only an admin sees and resumes models, and an unknown model cannot be resumed', async () => {
    const alice = { authorization: `Bearer ${KEYS.alice}` };
    expectProblem(await call(instance.url, 'GET', '/models', { headers: alice }), 403, 'forbidden');
    expectProblem(
      await call(instance.url, 'POST', '/models/o3/resume', { headers: alice }),
      403,
      'forbidden',
    );
    expectProblem(await call(instance.url, 'GET', '/models'), 401, 'unauthorized');
    for (const name of ['gpt-5', 'O3', '%7Bo3%7D', 'constructor', '%00']) {
      expectProblem(
        await call(instance.url, 'POST', `/models/${name}/resume`, { headers: admin }),
        404,
        'model_not_configured',
      );
    }
    expectProblem(
      await call(instance.url, 'GET', '/models?all=true', { headers: admin }),
      400,
      'invalid_request',
    );
    expect(await call(instance.url, 'GET', '/models', { headers: admin })).toMatchObject({ status: 200 });
    expect(await call(instance.url, 'POST', '/models/moved/resume', { headers: admin })).toMatchObject({
      status: 200,
      body: { upstream_models: ['gpt-5.1', 'gpt-5.2', 'gpt-5.4'], resumed: false },
    });
  });

  it('jobs of a model that is gone go to its next fallback, and their results say so', async () => {
    await Promise.all(['gpt-5.1', 'gpt-5.2'].map((id) => change(id, { gone: true })));
    const { id } = await client.enqueue({ question: 'Are you there?', model: 'moved' });
    const job = await client.wait(id);
    const said = {
      upstream_model: 'gpt-5.4',
      fallback_from: 'gpt-5.1',
      fallback_extra_usd: expect.any(Number),
    };
    expect(job).toMatchObject({ status: 'completed', attempt: 1, purchases: 1, result: said });
    expect(await client.result(id)).toMatchObject({ status: 'completed', result: said });
    expect((await viewOf('moved')).state.reason).toMatch(
      /gpt-5\.1 no longer exists at the upstream; gpt-5\.4 takes over/,
    );
    expect((await readiness())[0]).toEqual({ status: 'ok' });
    const environment = { O3Q_URL: instance.url, O3Q_API_KEY: KEYS.admin };
    expect((await o3q(['status', id], { environment })).stdout).toMatch(
      /fallback +for gpt-5\.1, which the upstream no longer has; it costs \$0\.\d+ more/,
    );
  });

  it('jobs of a model that is gone and has no fallback wait, and the setting that is missing is named', async () => {
    await change('gpt-5.5', { gone: true });
    const { id } = await client.enqueue({ question: 'And you?', model: 'lost' });
    const setting =
      /gpt-5\.5 does not exist at the upstream.* set models\.lost\.upstream or models\.lost\.fallbacks/;
    await eventually(async () =>
      expect(await client.get(id)).toMatchObject({
        ...{ status: 'waiting', attempt: 1, purchases: 0 },
        waiting_for: expect.stringMatching(setting),
      }),
    );
    await eventually(async () => {
      for (const { status, reasons } of await readiness()) {
        expect(status).toBe('degraded');
        expect(reasons).toEqual([expect.stringMatching(/^lost: gpt-5\.5 does not exist at the upstream/)]);
      }
    });
    await change('gpt-5.5', { gone: false });
    expect(await client.resume('lost')).toMatchObject({ resumed: true });
    expect(await client.wait(id)).toMatchObject({ status: 'completed', attempt: 1 });
    await eventually(async () => expect((await readiness())[1]).toEqual({ status: 'ok' }));
  });

  it.each<[OddReplyName, string, RegExp]>([
    ['401', 'credentials_refused', /credentials refused.*Incorrect API key/],
    ['402', 'quota_exhausted', /quota exhausted.*Insufficient credits/],
    ['403_html', 'wrong_address', /wrong address.*OPENAI_BASE_URL is http/],
    ['404_path', 'wrong_address', /wrong address.*Not Found/],
    ['200_html', 'wrong_address', /wrong address.*a web page: Log in/],
    ['429_hour', 'rate_limited', /rate limited/],
  ])(
    'what every job meets pauses the model and charges none, and resume ends it: %s',
    async (refuse, label, reason) => {
      instance.simulator.setWeather({ model: 'o3', refuse });
      const ids = await Promise.all(
        [1, 2, 3].map(async (i) => (await client.enqueue({ question: `${refuse} ${i}?` })).id),
      );
      await eventually(async () => expect((await viewOf('o3')).state.reason).toMatch(reason));
      await eventually(async () =>
        expect(await metrics()).toContain(`o3q_quota_stopped{upstream_model="o3",reason="${label}"} 1`),
      );
      if (refuse !== '429_hour') {
        await eventually(async () =>
          expect((await readiness())[0]).toEqual({
            status: 'degraded',
            reasons: [expect.stringMatching(reason)],
          }),
        );
      }
      // One of them may be active for a moment, as the probe.
      for (const id of ids)
        await eventually(async () =>
          expect(await client.get(id)).toMatchObject({
            status: 'waiting',
            purchases: 0,
            uncertain_purchases: 0,
          }),
        );
      expect(await client.resume('o3')).toMatchObject({ resumed: true });
      instance.simulator.setWeather({ model: 'o3', refuse: 'none' });
      for (const id of ids)
        await eventually(async () => {
          // A job may have met the refusal once more, and have paused the model.
          await client.resume('o3');
          expect(await client.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
        });
    },
  );

  it('a model is left when its last day is over and not before, without asking it, and the log warns before', async () => {
    await eventually(async () => {
      expect(await viewOf('old')).toMatchObject({ upstream: 'o3-pro', upstream_model: 'gpt-5.6-sol' });
    });
    const refused = instance.simulator.ledger.totals().rejected;
    const [old, near] = await Promise.all(
      ['old', 'near'].map((model) => client.enqueue({ question: 'Still?', model })),
    );
    expect(await client.wait(old?.id ?? '')).toMatchObject({
      result: { upstream_model: 'gpt-5.6-sol', fallback_from: 'o3-pro' },
    });
    expect(await client.wait(near?.id ?? '')).toMatchObject({
      result: { upstream_model: 'gpt-5', fallback_from: null },
    });
    expect(instance.simulator.ledger.totals().rejected).toBe(refused);
    expect((await viewOf('near')).state).toMatchObject({ status: 'open', shutdown_date: SOON });
    const about = { model: 'near', upstream_model: 'gpt-5', shutdown_date: SOON };
    const setting = 'models.near.fallbacks';
    await eventually(() => {
      expect(logged('the upstream will shut down a model')).toEqual([
        expect.objectContaining({
          ...{ level: 'warn', ...about, setting, takes_over: null, days_left: expect.any(Number) },
        }),
      ]);
      expect(logged('the upstream has shut down a model')).toEqual([
        expect.objectContaining({
          ...{ level: 'warn', model: 'old', upstream_model: 'o3-pro', shutdown_date: OVER },
          ...{ takes_over: 'gpt-5.6-sol', setting: 'models.old.fallbacks' },
        }),
      ]);
      expect(logged('jobs are queued beyond the shutdown of their model')).toEqual([
        expect.objectContaining({ level: 'warn', ...about, setting, jobs: 1 }),
      ]);
    });
    const seconds = Date.parse(SOON) / 1000;
    expect(await metrics()).toContain(
      `o3q_model_shutdown_timestamp_seconds{model="near",upstream_model="gpt-5"} ${seconds}`,
    );
  });
});
