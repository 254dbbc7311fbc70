import { eventually } from '../../support/eventually.ts';
import { o3q } from '../../support/process/o3q.ts';
import { KEYS, OVER, SOON, useModelsWorld } from '../../support/worlds/models-world.ts';

const world = useModelsWorld();
const { readiness, viewOf, metrics, change, logged } = world;

it('jobs of a model that is gone go to its next fallback, and their results say so', async () => {
  await Promise.all(['gpt-5.1', 'gpt-5.2'].map((id) => change(id, { gone: true })));
  const { id } = await world.client.enqueue({ question: 'Are you there?', model: 'moved' });
  const job = await world.client.wait(id);
  const said = {
    upstream_model: 'gpt-5.4',
    fallback_from: 'gpt-5.1',
    fallback_extra_usd: expect.any(Number),
  };
  expect(job).toMatchObject({ status: 'completed', attempt: 1, purchases: 1, result: said });
  expect(await world.client.result(id)).toMatchObject({ status: 'completed', result: said });
  expect((await viewOf('moved')).state.reason).toMatch(
    /gpt-5\.1 no longer exists at the upstream; gpt-5\.4 takes over/,
  );
  expect((await readiness())[0]).toEqual({ status: 'ok' });
  const environment = { O3Q_URL: world.instance.url, O3Q_API_KEY: KEYS.admin };
  expect((await o3q(['status', id], { environment })).stdout).toMatch(
    /fallback +for gpt-5\.1, which the upstream no longer has; it costs \$0\.\d+ more/,
  );
});

it('jobs of a model that is gone and has no fallback wait, and the setting that is missing is named', async () => {
  await change('gpt-5.5', { gone: true });
  const { id } = await world.client.enqueue({ question: 'And you?', model: 'lost' });
  const setting =
    /gpt-5\.5 does not exist at the upstream.* set models\.lost\.upstream or models\.lost\.fallbacks/;
  await eventually(async () =>
    expect(await world.client.get(id)).toMatchObject({
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
  expect(await world.client.resume('lost')).toMatchObject({ resumed: true });
  expect(await world.client.wait(id)).toMatchObject({ status: 'completed', attempt: 1 });
  await eventually(async () => expect((await readiness())[1]).toEqual({ status: 'ok' }));
});

it('a model is left when its last day is over and not before, without asking it, and the log warns before', async () => {
  await eventually(async () => {
    expect(await viewOf('old')).toMatchObject({ upstream: 'o3-pro', upstream_model: 'gpt-5.6-sol' });
  });
  const refused = world.instance.simulator.ledger.totals().rejected;
  const [old, near] = await Promise.all(
    ['old', 'near'].map((model) => world.client.enqueue({ question: 'Still?', model })),
  );
  expect(await world.client.wait(old?.id ?? '')).toMatchObject({
    result: { upstream_model: 'gpt-5.6-sol', fallback_from: 'o3-pro' },
  });
  expect(await world.client.wait(near?.id ?? '')).toMatchObject({
    result: { upstream_model: 'gpt-5', fallback_from: null },
  });
  expect(world.instance.simulator.ledger.totals().rejected).toBe(refused);
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
