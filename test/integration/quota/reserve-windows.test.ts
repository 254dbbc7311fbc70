import { parseJobRequest } from '../../../src/job/request.ts';
import { quotaJobId } from '../../../src/quota/quota.ts';
import { useDispatchWorld } from '../../support/worlds/dispatch-world.ts';

const world = useDispatchWorld();
const { start, ask, dispatch, startedIds } = world;

describe('completion windows', () => {
  const inHours = (hours: number) => ({ needed_by: new Date(Date.now() + hours * 3_600_000).toISOString() });
  const windowOf = (id: string): Promise<string | null> =>
    world.redis.hget(world.queue.keys.run(id), 'completion_window');
  const asks = { background_options: { completion_window: '8h' } };
  const quoted = async (options: Record<string, unknown>, request: Record<string, unknown> = {}) => {
    const asked = parseJobRequest({ request: { input: 'Why is it blue?', ...request }, ...options });
    const quote = await world.app.as({ tenant: 'alice', admin: false }).quote(asked);
    return {
      no_windows_until: quote.no_windows_until,
      windows: quote.windows.map(({ completion_window: name }) => name),
      chosen: quote.completion_window,
    };
  };

  it('are chosen when the quota is reserved, by the time that is left then, and stored in the record', async () => {
    await start({}, {});
    const ids = [
      await ask('alice', {}, inHours(12)),
      await ask('alice', {}, inHours(3)),
      await ask('alice', {}, inHours(1)),
      await ask('alice', { service_tier: 'flex' }, inHours(12)),
      await ask('alice', asks),
      await ask('alice'),
    ];
    expect(await dispatch()).toMatchObject({ started: 6 });
    expect(await Promise.all(ids.map(windowOf))).toEqual(['8h', '2h', 'soonest', 'soonest', '8h', null]);
  });

  it('take no slot in flight of the model and of the tenant, and have places of their own', async () => {
    await start({ maxInFlight: 1 }, { maxInFlight: 1, maxInFlightWindowed: 2 });
    const windowed = [];
    for (let i = 0; i < 3; i += 1) windowed.push(await ask('alice', {}, inHours(12)));
    const [first, second] = [await ask('alice'), await ask('alice')];
    expect(await dispatch()).toMatchObject({ started: 3 });
    expect(await startedIds()).toEqual([windowed[0], windowed[1], first]);
    expect(await world.app.models()).toMatchObject([
      {
        limits: { max_in_flight: 1, max_in_flight_windowed: 2 },
        state: { in_flight: 1, in_flight_windowed: 2, no_windows_until: null },
      },
    ]);
    expect(await dispatch()).toMatchObject({ started: 0 });
    const quota = world.quotas.of('o3');
    await quota.settle(quotaJobId('o3', windowed[0] ?? ''), undefined);
    expect(await dispatch()).toMatchObject({ started: 1 });
    expect((await startedIds()).at(-1)).toBe(windowed[2]);
    await quota.settle(quotaJobId('o3', first ?? ''), undefined);
    await world.tenantQuotas.settle('alice', quotaJobId('o3', first ?? ''));
    await world.queue.fairQueue.resumeTenant('alice');
    expect(await dispatch()).toMatchObject({ started: 1 });
    expect((await startedIds()).at(-1)).toBe(second);
  });

  it('keep their place when their lease has ended, and a worker follows the response again', async () => {
    await start({ maxInFlight: 1 }, { maxInFlight: 1 });
    const id = quotaJobId('o3', 'old');
    await world.quotas.of('o3').renew([{ id, phase: 'running', window: '8h' }]);
    await world.tenantQuotas.renew('alice', [{ id, running: true, isWindowed: true }]);
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 1 });
  });

  it('are left out for an hour after a refusal, unless the request itself names one', async () => {
    await start({}, {});
    await world.quotas.of('o3').refusesWindows();
    const [chosen, named] = [await ask('alice', {}, inHours(12)), await ask('alice', asks)];
    expect(await dispatch()).toMatchObject({ started: 2 });
    expect(await Promise.all([chosen, named].map(windowOf))).toEqual(['soonest', '8h']);
    const untilMs = Number(await world.redis.hget('o3q:quota:{o3}', 'no_windows_until'));
    expect(untilMs - Date.now()).toBeGreaterThan(3_500_000);
    const refusal = { no_windows_until: new Date(untilMs).toISOString() };
    expect(await quoted(inHours(12))).toEqual({ ...refusal, windows: ['soonest'], chosen: 'soonest' });
    expect(await world.app.models()).toMatchObject([{ state: refusal }]);
    expect(await quoted({}, asks)).toEqual({ ...refusal, windows: ['soonest', '8h'], chosen: '8h' });
    await world.quotas.of('o3').resume();
    const later = await ask('alice', {}, inHours(12));
    expect(await dispatch()).toMatchObject({ started: 1 });
    expect(await windowOf(later)).toBe('8h');
  });

  it('are chosen by a quote with the margins that answers have shown, as a dispatcher does', async () => {
    await start({}, {});
    expect(await quoted(inHours(10))).toMatchObject({ no_windows_until: null, chosen: '8h' });
    await ask('alice', asks);
    expect(await dispatch()).toMatchObject({ started: 1 });
    const used = { inputTokens: 10, outputTokens: 10, durationMs: 10 * 3_600_000 };
    await world.quotas.of('o3').settle(quotaJobId('o3', (await startedIds())[0] ?? ''), used);
    expect(await quoted(inHours(10))).toMatchObject({ chosen: '2h' });
    expect(await quoted(inHours(12))).toMatchObject({ chosen: '8h' });
  });

  it('are dropped at a fallback that is not known to have them', async () => {
    await start({}, { fallbacks: ['gpt-6.1-sol'] });
    await world.quotas.of('o3').report({ what: 'gone' });
    const [chosen, named] = [await ask('alice', {}, inHours(12)), await ask('alice', asks)];
    expect(await dispatch()).toMatchObject({ started: 2 });
    expect(await Promise.all([chosen, named].map(windowOf))).toEqual(['soonest', 'soonest']);
  });
});
