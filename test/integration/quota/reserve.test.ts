import { SLOTS_TAKEN } from '../../../src/fair-queue/eta.ts';
import { quotaJobId } from '../../../src/quota/quota.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import { utcDay } from '../../../src/usage/utc-day.ts';
import { createQuotaSignals } from '../../../worker/reservation/quota-signals.ts';
import { eventually } from '../../support/eventually.ts';
import { useDispatchWorld } from '../../support/worlds/dispatch-world.ts';

const world = useDispatchWorld();
const { start, ask, dispatch, nextJobs, startedIds } = world;
const aliceWaitsFor = async (): Promise<string | null> =>
  world.redis.hget(world.queue.keys.fairQueue('reasons'), 'alice');
const reservedOfAlice = async (): Promise<Record<string, string>> =>
  world.redis.hgetall('o3q:tenant:{tenant alice}:costs');

describe("a tenant's slots in flight", () => {
  it('slots reserved for jobs without quota are given back silently, and the tenant is not paused', async () => {
    await start({ maxInFlight: 1 }, { maxInFlight: 1 });
    await ask('bob');
    expect(await dispatch()).toMatchObject({ started: 1 });
    const [first, second] = [await ask('alice'), await ask('alice')];
    for (let round = 0; round < 3; round += 1) {
      expect(await dispatch()).toMatchObject({ started: 0, paused: 0, wait: { reason: 'max_in_flight' } });
    }
    expect(await reservedOfAlice()).toEqual({});
    expect((await nextJobs()).map(({ id }) => id)).toEqual([first, second]);
    expect(world.published).toEqual([]);
  });

  it('a dispatcher with an old view does not take the slot of a job that has started since', async () => {
    await start({ maxInFlight: 1 });
    const id = await ask('alice');
    const seenBefore = await nextJobs();
    expect(await dispatch()).toMatchObject({ started: 1 });
    // The other dispatcher finds the reservation, and leaves it alone.
    expect(await dispatch(seenBefore)).toMatchObject({ started: 0 });
    expect(Object.keys(await reservedOfAlice())).toEqual([quotaJobId('o3', id)]);
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 0, paused: 1 });
    expect(await aliceWaitsFor()).toBe(SLOTS_TAKEN);
  });

  it('slots are free again within seconds of the death of their dispatcher, and so is the quota', async () => {
    await start({ maxInFlight: 1 });
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 1 });
    const leftMs = async (key: string): Promise<number> =>
      Number((await world.redis.zrange(key, '0', '-1', 'WITHSCORES'))[1]) - Date.now();
    expect(await leftMs('o3q:tenant:{tenant alice}:leases')).toBeLessThanOrEqual(4000);
    expect(await leftMs('o3q:quota:{o3}:leases')).toBeLessThanOrEqual(4000);
  });
});

describe('a budget', () => {
  it('a budget is reserved from what such jobs have used, input at its own price', async () => {
    await start({ dailyBudgetUsd: 1 });
    // 100,000 tokens in and 2,000 out of o3: 0.2 and 0.016 dollars.
    await world.quotas.of('o3').reserve([{ id: 'one', inputTokens: 100_000, class: 'alice/' }], {
      requestsPerMinute: undefined,
      tokensPerMinute: undefined,
      maxInFlight: undefined,
    });
    await world.quotas.of('o3').settle('one', { inputTokens: 100_000, outputTokens: 2000, durationMs: 1000 });
    const id = await ask('alice', { input: 'word'.repeat(100_000) });
    expect(await dispatch()).toMatchObject({ started: 1 });
    const { [quotaJobId('o3', id)]: reservedNano } = await reservedOfAlice();
    expect(Number(reservedNano) / 1e9).toBeCloseTo(0.216, 3);
  });

  it('a budget is reserved at the price of the tier that the request asks for', async () => {
    await start({ dailyBudgetUsd: 1 });
    const [usual, fast] = [await ask('alice'), await ask('alice', { service_tier: 'priority' })];
    await dispatch();
    const reserved = await reservedOfAlice();
    expect(Number(reserved[quotaJobId('o3', fast)]) / Number(reserved[quotaJobId('o3', usual)])).toBeCloseTo(
      1.75,
      2,
    );
  });

  it('what is reserved for a running job stays when another dispatcher looks at it again', async () => {
    await start({ dailyBudgetUsd: 0.02 });
    const id = await ask('alice');
    const seenBefore = await nextJobs();
    await dispatch();
    const reserved = await reservedOfAlice();
    // By now nothing is left of the budget.
    await world.redis.hset(usageKey('o3q', 'o3', utcDay(Date.now())), `alice\0nano_usd`, 19_999_999);
    await dispatch(seenBefore);
    expect(await reservedOfAlice()).toEqual(reserved);
    expect(await startedIds()).toEqual([id]);
  });

  it('a budget that was used up since the last round starts no job, and pauses the tenant in the next round', async () => {
    await start({ dailyBudgetUsd: 1 });
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 1, paused: 0 });
    const reserved = await reservedOfAlice();
    await world.redis.hset(usageKey('o3q', 'o3', utcDay(Date.now())), 'alice\0nano_usd', 999_999_999);
    await ask('alice');
    // The look before the quota goes by the spending of the last round; the reservation after it does not.
    expect(await dispatch()).toMatchObject({ started: 0, paused: 0 });
    expect(await reservedOfAlice()).toEqual(reserved);
    expect(await world.quotas.of('o3').snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
    expect(await dispatch()).toMatchObject({ started: 0, paused: 1 });
    expect(await aliceWaitsFor()).toMatch(
      /^the daily budget of alice \(\$1\.00\) is used up or reserved until /,
    );
  });

  it('the reason says when a job can never fit into the budget', async () => {
    await start({ dailyBudgetUsd: 0.001 });
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 0, paused: 1 });
    expect(await aliceWaitsFor()).toMatch(
      /^this job is expected to cost \$0\.008\d*, more than alice's daily budget of \$0\.001$/,
    );
  });

  it('a budget is checked with the price of the model that will answer, not of the one that is gone', async () => {
    await start({ dailyBudgetUsd: 1 }, { upstream: 'model-without-price', fallbacks: ['o3'] });
    const id = await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 0, paused: 1 });
    expect(await aliceWaitsFor()).toContain('model-without-price has no known price');
    await world.quotas.of('model-without-price').report({ what: 'gone' });
    await world.queue.fairQueue.resumeTenant('alice');
    expect(await dispatch()).toMatchObject({ started: 1, paused: 0, source: { name: 'o3' } });
    expect(await world.redis.hget(world.queue.keys.run(id), 'reserved_model')).toBe('o3');
  });
});

it('a position counts the cheap jobs of other tenants that start before an expensive one', async () => {
  await start({}, { tokensPerMinute: 1_000_000 });
  const large = { input: 'word'.repeat(16_000) };
  const [first, second] = [await ask('bob', large), await ask('bob', large)];
  for (let i = 0; i < 30; i += 1) await ask('eve');
  expect(await dispatch((await nextJobs()).filter(({ id }) => id === first))).toMatchObject({ started: 1 });
  const eves = (await nextJobs()).filter(({ tenant }) => tenant === 'eve');
  expect(await dispatch(eves.slice(0, 1))).toMatchObject({ started: 1 });
  // The 17,000 tokens of the first job are about as many as those of 16 of eve's jobs, one of which has
  // started.
  expect((await nextJobs()).findIndex(({ id }) => id === second)).toBe(16);
  expect(await world.app.get(second)).toMatchObject({ position: 17 });
});

it('a job that three dispatchers see starts once, with one reservation', async () => {
  await start({});
  const id = await ask('bob');
  const seen = await nextJobs();
  const rounds = await Promise.all([dispatch(seen), dispatch(seen), dispatch(seen)]);
  expect(rounds.map(({ started }) => started).toSorted()).toEqual([0, 0, 1]);
  expect(await startedIds()).toEqual([id]);
  expect(await world.quotas.of('o3').snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
});

it('a pause of all workers outlasts the end of jobs that were sent before it', async () => {
  await start({}, { maxInFlight: 1 });
  const quota = world.quotas.of('o3');
  const listener = world.redis.duplicate();
  const signals = createQuotaSignals(listener, () => {});
  let woken = 0;
  signals.listen(quota, () => {
    woken += 1;
  });
  try {
    await eventually(async () =>
      expect(await world.redis.pubsub('NUMSUB', quota.channel)).toEqual([quota.channel, 1]),
    );
    const [first] = [await ask('bob'), await ask('bob')];
    await dispatch();
    await quota.report({ what: 'rate_limited', retryAfterMs: 30_000 }, 'another');
    await eventually(async () => expect(signals.isPaused(quota)).toBe(true));
    const before = woken;
    await quota.settle(quotaJobId('o3', first ?? ''), undefined);
    await eventually(async () => expect(woken).toBe(before + 1));
    expect(signals.isPaused(quota)).toBe(true);
  } finally {
    listener.disconnect();
  }
});
