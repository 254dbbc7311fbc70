import { Redis } from 'ioredis';
import { defaultModels, type ModelConfig, type TenantConfig } from '../../../src/config/file.ts';
import { SLOTS_TAKEN } from '../../../src/fair-queue/eta.ts';
import { parseJobRequest } from '../../../src/job/request.ts';
import { createModelQueue, type ModelQueue } from '../../../src/model-queue/model-queue.ts';
import { InstanceQueue } from '../../../src/queue/instance-queue.ts';
import { limitsOf } from '../../../src/quota/limits.ts';
import { createQuotas, type Quotas, quotaJobId } from '../../../src/quota/quota.ts';
import { createTenantQuotas, type TenantQuotas } from '../../../src/quota/tenant-quota.ts';
import { usageKey } from '../../../src/usage/keys.ts';
import { createPriceList } from '../../../src/usage/price.ts';
import { createUsageStore } from '../../../src/usage/store.ts';
import { utcDay } from '../../../src/usage/utc-day.ts';
import { createQuotaSignals } from '../../../worker/reservation/quota-signals.ts';
import { type Round, reserveAndStart } from '../../../worker/reservation/reserve.ts';
import { createTenantLimits, type TenantLimits } from '../../../worker/reservation/tenant-limits.ts';
import { createWindowChoice } from '../../../worker/windows/choice.ts';
import { eventually } from '../../support/eventually.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

let server: TestRedis;
let redis: Redis;
let app: InstanceQueue;
let queue: ModelQueue;
let quotas: Quotas;
let tenantQuotas: TenantQuotas;
let tenantLimits: TenantLimits;
/** Channels on which dispatchers were woken. */
let published: string[];
let subscriber: Redis;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
  subscriber = new Redis(server.url);
  subscriber.on('message', (channel) => published.push(channel));
});
afterEach(async () => {
  await app.close();
  await queue.bullmq.close();
});
afterAll(async () => {
  redis.disconnect();
  subscriber.disconnect();
  await server.stop();
});

const TENANT: TenantConfig = {
  weight: 1,
  maxInFlight: undefined,
  dailyBudgetUsd: undefined,
  onBudgetExhausted: 'wait',
};

/** An empty Redis, and no worker. */
async function start(alice: Partial<TenantConfig>, model: Partial<ModelConfig> = {}): Promise<void> {
  await redis.flushall();
  published = [];
  const { models: known, compressAboveKb } = defaultModels();
  if (known['o3'] === undefined) throw new Error('a model o3 was expected');
  const models = { o3: { ...known['o3'], completionWindows: { '2h': 0.3, '8h': 0.4 }, ...model } };
  const tenants = { alice: { ...TENANT, ...alice } };
  app = new InstanceQueue({ redisUrl: server.url, models, tenants });
  queue = createModelQueue(redis, 'o3q', 'o3', { models, tenants, compressAboveKb }, () => {});
  quotas = createQuotas(redis, 'o3q');
  tenantQuotas = createTenantQuotas(redis, 'o3q');
  const usage = createUsageStore(redis, 'o3q', ['o3']);
  tenantLimits = createTenantLimits({
    ...{
      settings: { tenants },
      tenantQuotas,
      prices: createPriceList({ prices: {} }),
      usage,
      now: () => Date.now(),
    },
    isSimulated: () => false,
  });
  await subscriber.subscribe(tenantQuotas.channel);
}

async function ask(
  tenant: string,
  request: Record<string, unknown> = {},
  options: Record<string, unknown> = {},
): Promise<string> {
  const {
    job: { id },
  } = await app.as({ tenant, admin: false }).enqueue(
    parseJobRequest({
      request: { input: 'A question of forty letters, more or less.', ...request },
      ...options,
    }),
  );
  return id;
}

/** A round of a dispatcher: of the next jobs, or of jobs that were the next ones before. */
async function dispatch(jobs?: Awaited<ReturnType<typeof nextJobs>>): Promise<Round> {
  const { config, upstreamModels, fairQueue } = queue;
  const sources = upstreamModels.map((name) => ({
    name,
    quota: quotas.of(name),
    limits: limitsOf({ o3: config }, name, config),
    windows: createWindowChoice(config, name, () => Date.now()),
  }));
  return reserveAndStart(jobs ?? (await nextJobs()), {
    model: 'o3',
    fairQueue,
    tenantLimits,
    sources,
    discounts: config.completionWindows,
    ownPausedTenants: new Set(),
  });
}

const nextJobs = async () => (await queue.fairQueue.next(32)).jobs;
const startedIds = async (): Promise<string[]> => (await redis.lrange('o3q:{o3}:wait', 0, -1)).toReversed();
const aliceWaitsFor = async (): Promise<string | null> =>
  redis.hget(queue.keys.fairQueue('reasons'), 'alice');
const reservedOfAlice = async (): Promise<Record<string, string>> =>
  redis.hgetall('o3q:tenant:{tenant alice}:costs');

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
    expect(published).toEqual([]);
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
      Number((await redis.zrange(key, '0', '-1', 'WITHSCORES'))[1]) - Date.now();
    expect(await leftMs('o3q:tenant:{tenant alice}:leases')).toBeLessThanOrEqual(4000);
    expect(await leftMs('o3q:quota:{o3}:leases')).toBeLessThanOrEqual(4000);
  });
});

describe('a budget', () => {
  it('a budget is reserved from what such jobs have used, input at its own price', async () => {
    await start({ dailyBudgetUsd: 1 });
    // 100,000 tokens in and 2,000 out of o3: 0.2 and 0.016 dollars.
    await quotas.of('o3').reserve([{ id: 'one', inputTokens: 100_000, class: 'alice/' }], {
      requestsPerMinute: undefined,
      tokensPerMinute: undefined,
      maxInFlight: undefined,
    });
    await quotas.of('o3').settle('one', { inputTokens: 100_000, outputTokens: 2000, durationMs: 1000 });
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
    await redis.hset(usageKey('o3q', 'o3', utcDay(Date.now())), `alice\0nano_usd`, 19_999_999);
    await dispatch(seenBefore);
    expect(await reservedOfAlice()).toEqual(reserved);
    expect(await startedIds()).toEqual([id]);
  });

  it('a budget that was used up since the last round starts no job, and pauses the tenant in the next round', async () => {
    await start({ dailyBudgetUsd: 1 });
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 1, paused: 0 });
    const reserved = await reservedOfAlice();
    await redis.hset(usageKey('o3q', 'o3', utcDay(Date.now())), 'alice\0nano_usd', 999_999_999);
    await ask('alice');
    // The look before the quota goes by the spending of the last round; the reservation after it does not.
    expect(await dispatch()).toMatchObject({ started: 0, paused: 0 });
    expect(await reservedOfAlice()).toEqual(reserved);
    expect(await quotas.of('o3').snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
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
    await quotas.of('model-without-price').report({ what: 'gone' });
    await queue.fairQueue.resumeTenant('alice');
    expect(await dispatch()).toMatchObject({ started: 1, paused: 0, source: { name: 'o3' } });
    expect(await redis.hget(queue.keys.run(id), 'reserved_model')).toBe('o3');
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
  expect(await app.get(second)).toMatchObject({ position: 17 });
});

it('a job that three dispatchers see starts once, with one reservation', async () => {
  await start({});
  const id = await ask('bob');
  const seen = await nextJobs();
  const rounds = await Promise.all([dispatch(seen), dispatch(seen), dispatch(seen)]);
  expect(rounds.map(({ started }) => started).toSorted()).toEqual([0, 0, 1]);
  expect(await startedIds()).toEqual([id]);
  expect(await quotas.of('o3').snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
});

it('a pause of all workers outlasts the end of jobs that were sent before it', async () => {
  await start({}, { maxInFlight: 1 });
  const quota = quotas.of('o3');
  const listener = new Redis(server.url);
  const signals = createQuotaSignals(listener, () => {});
  let woken = 0;
  signals.listen(quota, () => {
    woken += 1;
  });
  try {
    await eventually(async () =>
      expect(await redis.pubsub('NUMSUB', quota.channel)).toEqual([quota.channel, 1]),
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

describe('completion windows', () => {
  const inHours = (hours: number) => ({ needed_by: new Date(Date.now() + hours * 3_600_000).toISOString() });
  const windowOf = (id: string): Promise<string | null> =>
    redis.hget(queue.keys.run(id), 'completion_window');
  const asks = { background_options: { completion_window: '8h' } };
  const quoted = async (options: Record<string, unknown>, request: Record<string, unknown> = {}) => {
    const asked = parseJobRequest({ request: { input: 'Why is it blue?', ...request }, ...options });
    const quote = await app.as({ tenant: 'alice', admin: false }).quote(asked);
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
    expect(await app.models()).toMatchObject([
      {
        limits: { max_in_flight: 1, max_in_flight_windowed: 2 },
        state: { in_flight: 1, in_flight_windowed: 2, no_windows_until: null },
      },
    ]);
    expect(await dispatch()).toMatchObject({ started: 0 });
    const quota = quotas.of('o3');
    await quota.settle(quotaJobId('o3', windowed[0] ?? ''), undefined);
    expect(await dispatch()).toMatchObject({ started: 1 });
    expect((await startedIds()).at(-1)).toBe(windowed[2]);
    await quota.settle(quotaJobId('o3', first ?? ''), undefined);
    await tenantQuotas.settle('alice', quotaJobId('o3', first ?? ''));
    await queue.fairQueue.resumeTenant('alice');
    expect(await dispatch()).toMatchObject({ started: 1 });
    expect((await startedIds()).at(-1)).toBe(second);
  });

  it('keep their place when their lease has ended, and a worker follows the response again', async () => {
    await start({ maxInFlight: 1 }, { maxInFlight: 1 });
    const id = quotaJobId('o3', 'old');
    await quotas.of('o3').renew([{ id, phase: 'running', window: '8h' }]);
    await tenantQuotas.renew('alice', [{ id, running: true, isWindowed: true }]);
    await ask('alice');
    expect(await dispatch()).toMatchObject({ started: 1 });
  });

  it('are left out for an hour after a refusal, unless the request itself names one', async () => {
    await start({}, {});
    await quotas.of('o3').refusesWindows();
    const [chosen, named] = [await ask('alice', {}, inHours(12)), await ask('alice', asks)];
    expect(await dispatch()).toMatchObject({ started: 2 });
    expect(await Promise.all([chosen, named].map(windowOf))).toEqual(['soonest', '8h']);
    const untilMs = Number(await redis.hget('o3q:quota:{o3}', 'no_windows_until'));
    expect(untilMs - Date.now()).toBeGreaterThan(3_500_000);
    const refusal = { no_windows_until: new Date(untilMs).toISOString() };
    expect(await quoted(inHours(12))).toEqual({ ...refusal, windows: ['soonest'], chosen: 'soonest' });
    expect(await app.models()).toMatchObject([{ state: refusal }]);
    expect(await quoted({}, asks)).toEqual({ ...refusal, windows: ['soonest', '8h'], chosen: '8h' });
    await quotas.of('o3').resume();
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
    await quotas.of('o3').settle(quotaJobId('o3', (await startedIds())[0] ?? ''), used);
    expect(await quoted(inHours(10))).toMatchObject({ chosen: '2h' });
    expect(await quoted(inHours(12))).toMatchObject({ chosen: '8h' });
  });

  it('are dropped at a fallback that is not known to have them', async () => {
    await start({}, { fallbacks: ['gpt-6.1-sol'] });
    await quotas.of('o3').report({ what: 'gone' });
    const [chosen, named] = [await ask('alice', {}, inHours(12)), await ask('alice', asks)];
    expect(await dispatch()).toMatchObject({ started: 2 });
    expect(await Promise.all([chosen, named].map(windowOf))).toEqual(['soonest', 'soonest']);
  });
});
