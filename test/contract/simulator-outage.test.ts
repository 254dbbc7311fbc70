import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { collect, finished, refusal, type SimulatorWorld, withSimulator } from './simulator-world.ts';

const REQUEST = { model: 'o3', input: 'x', background: true } as const;
const LATER = { model: 'gpt-5', input: 'x', background: true } as const;

/** `PUT` to one of the simulator's own routes. */
async function put({ url }: SimulatorWorld, path: string, body: object) {
  const response = await fetch(url.replace(/\/v1$/, `/simulator/${path}`), {
    method: 'PUT',
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as unknown };
}

describe('an outage of the simulator', () => {
  it('every create is refused for lack of money until there is money again', async () => {
    await withSimulator({}, async (world) => {
      expect(await put(world, 'weather', { money: 'out' })).toEqual({
        status: 200,
        body: {
          money: 'out',
          throttled_until: null,
          down: false,
          overloaded: false,
          refuse: 'none',
          models: {},
        },
      });
      expect(await refusal(world.client.responses.create(REQUEST))).toMatchObject({
        status: 429,
        code: 'insufficient_quota',
      });
      await put(world, 'weather', { money: 'in' });
      expect((await world.client.responses.create(REQUEST)).status).toBe('queued');
      expect(world.simulator.ledger.totals()).toMatchObject({ purchases: 1, rejected: 1, throttled: 0 });
    });
  });

  it('every create is throttled for throttle_ms, and the ledger has the times of those that came', async () => {
    await withSimulator({}, async (world) => {
      const { client, simulator, url } = world;
      const { body } = await put(world, 'weather', { throttle_ms: 400 });
      const untilMs = (body as { throttled_until: number }).throttled_until;
      const error = await refusal(client.responses.create(REQUEST));
      expect(error).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
      expect(error.headers?.get('retry-after')).toBe('1');
      const waitMs = Number(error.headers?.get('retry-after-ms'));
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(400);
      await eventually(() => client.responses.create(REQUEST));
      expect(simulator.ledger.entries()[0]?.created_at).toBeGreaterThanOrEqual(untilMs);
      const { throttled_at: throttledAt, totals } = (await (
        await fetch(url.replace(/\/v1$/, '/simulator/ledger'))
      ).json()) as { throttled_at: number[]; totals: Record<string, number> };
      expect(totals['during_throttle']).toBe(throttledAt.length);
      expect(totals).toMatchObject({ throttled: 0, rejected: throttledAt.length, purchases: 1 });
      expect(Math.min(...throttledAt)).toBeGreaterThanOrEqual(untilMs - 400);
      expect(Math.max(...throttledAt)).toBeLessThanOrEqual(untilMs);
    });
  });

  it('a throttle can be ended early, and can affect one model alone', async () => {
    await withSimulator({}, async (world) => {
      const { client, simulator } = world;
      await put(world, 'weather', { model: 'o3', throttle_ms: 60_000, overloaded: true });
      expect((await client.responses.create(LATER)).status).toBe('queued');
      expect(await refusal(client.responses.create(REQUEST))).toMatchObject({
        status: 503,
        code: 'server_is_overloaded',
      });
      await put(world, 'weather', { model: 'o3', overloaded: false });
      expect((await refusal(client.responses.create(REQUEST))).headers?.get('retry-after')).toBe('60');
      await put(world, 'weather', { model: 'o3', throttle_ms: 0 });
      expect((await client.responses.create(REQUEST)).status).toBe('queued');
      expect(simulator.ledger.throttledAt()).toHaveLength(2);
    });
  });

  it('while the server is down every connection is reset, open ones too, and background responses go on', async () => {
    await withSimulator({}, async (world) => {
      const { client, simulator } = world;
      const slow = { ...REQUEST, metadata: { sim_think_ms: '300' } };
      const { id } = await client.responses.create(slow);
      const cut = collect(
        await client.responses.create({ ...REQUEST, stream: true, metadata: { sim: 'stuck_queued' } }),
      );
      const cutOff = expect(cut).rejects.toThrow('terminated');
      await put(world, 'weather', { down: true });
      await cutOff;
      await expect(client.responses.create(REQUEST)).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      await expect(client.models.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      expect(simulator.ledger.totals()).toMatchObject({ purchases: 2, rejected: 1 });
      await put(world, 'weather', { down: false });
      expect((await finished(client, id)).status).toBe('completed');
    });
  });

  it('an outage of one model resets only its creates', async () => {
    await withSimulator({}, async ({ client, simulator }) => {
      simulator.setWeather({ model: 'o3', down: true });
      await expect(client.responses.create(REQUEST)).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
      expect((await client.responses.create(LATER)).status).toBe('queued');
    });
  });

  it.each([
    [{ mony: 'out' }, 'mony'],
    [{ money: 'gone' }, 'money'],
    [{ throttle_ms: -1 }, 'throttle_ms'],
    [{ down: 'yes' }, 'down'],
    [{ model: 'o4', down: true }, 'model'],
  ])('a misspelt outage is refused: %j', async (body, param) => {
    await withSimulator({}, async (world) => {
      expect(await put(world, 'weather', body)).toMatchObject({ status: 400, body: { error: { param } } });
      expect((await world.client.responses.create(REQUEST)).status).toBe('queued');
    });
  });
});

describe('the models of the simulator', () => {
  it('a model gets a shutdown date, disappears and comes back', async () => {
    await withSimulator({ models: ['gpt-5.5', 'o3'] }, async (world) => {
      const { client } = world;
      const create = (model: string) => client.responses.create({ ...REQUEST, model });
      const listed = async () => (await client.models.list()).data.map(({ id }) => id);
      const before = await create('gpt-5.5');
      expect(await put(world, 'models/gpt-5.5', { gone: true })).toMatchObject({
        body: { id: 'gpt-5.5', gone: true, shutdown_date: null },
      });
      expect(await listed()).toEqual(['o3']);
      const missing = await refusal(create('gpt-5.5'));
      expect(missing).toMatchObject({ status: 404, code: 'model_not_found' });
      expect(missing.message).toContain(
        'The model `gpt-5.5` does not exist or you do not have access to it.',
      );
      expect((await finished(client, before.id)).status).toBe('completed');
      await put(world, 'models/gpt-5.5', { shutdown_date: '2026-12-24' });
      expect((await refusal(create('gpt-5.5'))).message).toContain('has been deprecated');
      await put(world, 'models/gpt-5.5', { gone: false });
      expect(await client.models.retrieve('gpt-5.5')).toMatchObject({ shutdown_date: '2026-12-24' });
      await put(world, 'models/gpt-5.5', { shutdown_date: null });
      expect(await client.models.retrieve('gpt-5.5')).toMatchObject({ shutdown_date: null });
      expect((await create('gpt-5.5')).status).toBe('queued');
    });
  });

  it.each([
    ['o3', { shutdown_date: '2026-02-31' }, 400],
    ['o3', { shutdownDate: '2026-02-28' }, 400],
    ['o4', { gone: true }, 404],
  ])('a misspelt change of a model is refused: %s %j', async (model, body, status) => {
    await withSimulator({ models: ['o3'] }, async (world) => {
      expect((await put(world, `models/${model}`, body)).status).toBe(status);
    });
  });
});
