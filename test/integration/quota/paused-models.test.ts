import type { OddReplyName } from '../../../simulator/faults/odd-replies.ts';
import { eventually } from '../../support/eventually.ts';
import { call, expectProblem } from '../../support/http/http-calls.ts';
import { o3q } from '../../support/process/o3q.ts';
import { ADMIN, KEYS, useModelsWorld } from '../../support/worlds/models-world.ts';

const world = useModelsWorld();
const { readiness, viewOf, metrics } = world;

it('a model whose account has no money keeps its jobs, says so everywhere, and resumes by hand', async () => {
  expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
  world.instance.simulator.setWeather({ model: 'o3', money: 'out' });
  const { id } = await world.client.enqueue({ question: 'Who pays?' });
  await eventually(async () => {
    expect(await world.client.get(id)).toMatchObject({
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
  const board = await fetch(`${world.instance.url}/board/api/queues?activeQueue=o3`, { headers: ADMIN });
  const { queues } = (await board.json()) as { queues: { name: string; description?: string }[] };
  expect(queues.find(({ name }) => name === 'o3')?.description).toMatch(/^quota exhausted/);
  // Another model's account is another's.
  const other = await world.client.enqueue({ question: 'And you?', model: 'near' });
  expect(await world.client.wait(other.id)).toMatchObject({ status: 'completed' });

  const environment = { O3Q_URL: world.instance.url, O3Q_API_KEY: KEYS.admin };
  const table = await o3q(['models'], { environment });
  expect(table).toMatchObject({ code: 0, stderr: '' });
  expect(table.stdout).toMatch(/^MODEL .*\no3 +o3 +paused +1 /);
  expect(table.stdout).toMatch(/\no3: quota exhausted/);
  world.instance.simulator.setWeather({ model: 'o3', money: 'in' });
  expect(await o3q(['resume', 'o3'], { environment })).toEqual({
    code: 0,
    stdout: 'o3 is resumed\n',
    stderr: '',
  });
  // Long before a probe would have come.
  expect(await world.client.wait(id, { timeoutMs: 30_000 })).toMatchObject({
    status: 'completed',
    purchases: 1,
  });
  await eventually(async () => {
    expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
  });
  expect(await world.client.resume('o3')).toEqual({
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
  world.instance.simulator.setWeather({ model: 'o3', throttle_ms: 50_000 });
  const { id } = await world.client.enqueue({ question: 'Too many?' });
  await eventually(async () => expect((await viewOf('o3')).state.status).toBe('rate_limited'));
  // What readiness says may be a second old: until the same look knows of the throttling.
  await eventually(async () =>
    expect(await metrics()).toMatch(/^o3q_quota_stopped\{[^}]*reason="rate_limited"[^}]*\} 1$/m),
  );
  expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
  expect(await metrics()).toMatch(/^o3q_throttled_total\{model="o3"\} 1$/m);
  world.instance.simulator.setWeather({ model: 'o3', throttle_ms: 0 });
  await world.client.resume('o3');
  expect(await world.client.wait(id)).toMatchObject({ status: 'completed' });
});

it('an overloaded upstream degrades the instance until it answers again', async () => {
  world.instance.simulator.setWeather({ model: 'o3', overloaded: true });
  const questions = Array.from({ length: 6 }, (_, i) => `Too much, number ${i}?`);
  const jobs = await Promise.all(questions.map((question) => world.client.enqueue({ question })));
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
  world.instance.simulator.setWeather({ model: 'o3', overloaded: false });
  for (const { id } of jobs)
    expect(await world.client.wait(id, { timeoutMs: 60_000 })).toMatchObject({ status: 'completed' });
  await eventually(async () => {
    expect(await readiness()).toEqual([{ status: 'ok' }, { status: 'ok' }]);
  });
});

it('only an admin sees and resumes models, and an unknown model cannot be resumed', async () => {
  const alice = { authorization: `Bearer ${KEYS.alice}` };
  expectProblem(await call(world.instance.url, 'GET', '/models', { headers: alice }), 403, 'forbidden');
  expectProblem(
    await call(world.instance.url, 'POST', '/models/o3/resume', { headers: alice }),
    403,
    'forbidden',
  );
  expectProblem(await call(world.instance.url, 'GET', '/models'), 401, 'unauthorized');
  for (const name of ['gpt-5', 'O3', '%7Bo3%7D', 'constructor', '%00']) {
    expectProblem(
      await call(world.instance.url, 'POST', `/models/${name}/resume`, { headers: ADMIN }),
      404,
      'model_not_configured',
    );
  }
  expectProblem(
    await call(world.instance.url, 'GET', '/models?all=true', { headers: ADMIN }),
    400,
    'invalid_request',
  );
  expect(await call(world.instance.url, 'GET', '/models', { headers: ADMIN })).toMatchObject({ status: 200 });
  expect(await call(world.instance.url, 'POST', '/models/moved/resume', { headers: ADMIN })).toMatchObject({
    status: 200,
    body: { upstream_models: ['gpt-5.1', 'gpt-5.2', 'gpt-5.4'], resumed: false },
  });
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
    world.instance.simulator.setWeather({ model: 'o3', refuse });
    const ids = await Promise.all(
      [1, 2, 3].map(async (i) => (await world.client.enqueue({ question: `${refuse} ${i}?` })).id),
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
        expect(await world.client.get(id)).toMatchObject({
          status: 'waiting',
          purchases: 0,
          uncertain_purchases: 0,
        }),
      );
    expect(await world.client.resume('o3')).toMatchObject({ resumed: true });
    world.instance.simulator.setWeather({ model: 'o3', refuse: 'none' });
    for (const id of ids)
      await eventually(async () => {
        // A job may have met the refusal once more, and have paused the model.
        await world.client.resume('o3');
        expect(await world.client.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
      });
  },
);
