import { Redis } from 'ioredis';
import { quotaKeysOf } from '../../../src/quota/keys.ts';
import {
  type AdvertisedLimits,
  createQuota,
  type Need,
  type Quota,
  type QuotaLimits,
} from '../../../src/quota/quota.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const NO_LIMITS: QuotaLimits = {
  requestsPerMinute: undefined,
  tokensPerMinute: undefined,
  maxInFlight: undefined,
};
const NOTHING_ADVERTISED: AdvertisedLimits = {
  limitRequests: undefined,
  limitTokens: undefined,
  remainingRequests: undefined,
  remainingTokens: undefined,
};
const keys = quotaKeysOf('o3q', 'o3');

let server: TestRedis;
let redis: Redis;
let quota: Quota;

beforeAll(async () => {
  server = await startTestRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await redis.flushall();
  quota = createQuota(redis, 'o3q', 'o3');
});

const needs = (count: number, inputTokens = 0, first = 0): Need[] =>
  Array.from({ length: count }, (_, i) => ({ id: `job_${first + i}`, inputTokens, class: 'alice/high' }));
const reservedIn = ({ answers }: { answers: (number | 'taken' | 'skipped')[] }): number[] =>
  answers.filter((answer) => typeof answer === 'number');

describe('the window of a minute', () => {
  it('a reservation counts for the next 60 seconds, so that no burst at the edge of a minute is twice the limit', async () => {
    const limits = { ...NO_LIMITS, requestsPerMinute: 40, tokensPerMinute: undefined };
    // All of it was charged long enough ago for the even share to be refilled, but not a minute ago.
    const step = Math.floor((Date.now() - 30_000) / 100);
    await redis.rpush(keys.window, `${step}:40:0`);
    await redis.hset(keys.state, { requests: 40, tokens: 0 });
    const { answers, wait } = await quota.reserve(needs(1), limits);
    expect(answers).toEqual([]);
    expect(wait?.reason).toBe('requests_per_minute');
    expect(wait?.milliseconds).toBeGreaterThan(29_000);
    expect(wait?.milliseconds).toBeLessThan(31_500);
  });

  it('starts are spread over the minute: after a pause, three seconds of them start at once', async () => {
    const taken = await quota.reserve(needs(100), { ...NO_LIMITS, requestsPerMinute: 600 });
    expect(reservedIn(taken).length).toBeGreaterThanOrEqual(30);
    expect(reservedIn(taken).length).toBeLessThanOrEqual(32);
    expect(taken.wait).toMatchObject({ reason: 'requests_per_minute' });
    expect(taken.wait?.milliseconds).toBeLessThanOrEqual(101);
  });

  it('a create request counts from when it is sent, not from when it was reserved', async () => {
    await quota.reserve(needs(1), NO_LIMITS);
    // A while ago.
    const [entry = ''] = await redis.lrange(keys.window, 0, -1);
    const step = Number(entry.split(':')[0]);
    const stored = (await redis.hget(keys.reservations, 'job_0')) ?? '';
    await redis.lset(keys.window, 0, entry.replace(String(step), String(step - 300)));
    await redis.hset(keys.reservations, 'job_0', stored.replace(String(step), String(step - 300)));
    await quota.sent('job_0');
    const [old, now = ''] = await redis.lrange(keys.window, 0, -1);
    expect(old).toBe(`${step - 300}:0:0`);
    expect(now).toMatch(/:1:1000$/);
    expect(Number(now.split(':')[0])).toBeGreaterThanOrEqual(step);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });

  it('a wrong estimate or an odd number delays the next job by a minute at most', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 30_000 };
    await quota.reserve([{ id: 'huge', inputTokens: 1e15, class: 'alice/high' }], limits);
    // After more than a minute: nothing of it counts any more.
    await redis.del(keys.window);
    await redis.hset(keys.state, { requests: 0, tokens: 0 });
    await quota.settle('huge', { inputTokens: -1, outputTokens: Number.NaN, durationMs: undefined });
    expect(reservedIn(await quota.reserve(needs(1), limits))).toHaveLength(1);
    await quota.settle('job_0', { inputTokens: 1e20, outputTokens: 1e15, durationMs: 1 });
    expect((await quota.reserve(needs(1, 0, 1), limits)).wait?.reason).toBe('tokens_per_minute');
  });

  it('what was charged more than a minute ago no longer counts', async () => {
    const step = Math.floor((Date.now() - 61_500) / 100);
    await redis.rpush(keys.window, `${step}:40:100`);
    await redis.hset(keys.state, { requests: 40, tokens: 100 });
    expect(reservedIn(await quota.reserve(needs(1), { ...NO_LIMITS, requestsPerMinute: 40 }))).toHaveLength(
      1,
    );
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });
});

describe('requests, tokens and slots are reserved together', () => {
  it('a job that has too few tokens reserves no request either', async () => {
    const limits = { requestsPerMinute: 600, tokensPerMinute: 5000, maxInFlight: undefined };
    const taken = await quota.reserve(needs(3, 1500), limits);
    expect(reservedIn(taken)).toEqual([2500]);
    expect(taken.wait?.reason).toBe('tokens_per_minute');
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 2500, inFlight: 1 });
  });

  it('a job that needs more tokens than a minute has starts alone', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 1000 };
    expect(reservedIn(await quota.reserve(needs(1, 20_000), limits))).toEqual([21_000]);
    const next = await quota.reserve(needs(1, 1, 1), limits);
    expect(next).toMatchObject({ answers: [], wait: { reason: 'tokens_per_minute' } });
  });

  it('a slot in flight is free as soon as its job is settled, and dispatchers that wait are woken', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 2 };
    const taken = await quota.reserve(needs(3), limits);
    expect(taken).toMatchObject({ answers: [1000, 1000], wait: { reason: 'max_in_flight' } });
    const listener = new Redis(server.url);
    const heard = new Promise((resolve) => listener.on('message', resolve));
    await listener.subscribe(quota.channel);
    await quota.settle('job_0', undefined);
    await heard;
    listener.disconnect();
    expect(reservedIn(await quota.reserve(needs(1, 0, 2), limits))).toHaveLength(1);
  });

  it('two dispatchers that reserve for the same job get one reservation', async () => {
    const both = await Promise.all([quota.reserve(needs(1), NO_LIMITS), quota.reserve(needs(1), NO_LIMITS)]);
    expect(both.flatMap(({ answers }) => answers).toSorted()).toEqual([1000, 'taken']);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
  });

  it('twenty workers at once reserve no more than the limit', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 7 };
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => quota.reserve(needs(5, 0, i * 5), limits)),
    );
    expect(all.flatMap(reservedIn)).toHaveLength(7);
  });
});

describe('settling a reservation', () => {
  it('settling replaces the reservation by the usage, in the window and in the next estimate', async () => {
    await quota.reserve(needs(1, 100), NO_LIMITS);
    await quota.settle('job_0', { inputTokens: 200, outputTokens: 300, durationMs: 40 });
    expect(await quota.snapshot()).toMatchObject({
      tokens: 500,
      inFlight: 0,
      meanTokens: 500,
      meanDurationMs: 40,
    });
    expect(reservedIn(await quota.reserve(needs(1, 100, 1), NO_LIMITS))).toEqual([500]);
  });

  it('settling without a known usage leaves the reservation charged', async () => {
    await quota.reserve(needs(1, 100), NO_LIMITS);
    await quota.settle('job_0', undefined);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('an unsent reservation is given back whole; after a refusal the request stays charged', async () => {
    await quota.reserve(needs(2, 100), NO_LIMITS);
    await quota.giveBack(['job_0']);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 1 });
    await quota.sent('job_1');
    await quota.giveBack(['job_1'], { refused: true });
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 0, inFlight: 0 });
  });

  it('a dead worker’s reservations end with their leases, and stay charged if they were sent', async () => {
    await quota.reserve(needs(2, 100), NO_LIMITS);
    await quota.sent('job_1');
    await redis.zadd(keys.leases, 1, 'job_0', 1, 'job_1');
    await quota.reserve([], NO_LIMITS);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('a response that still runs gets its slot back even beyond the limit', async () => {
    expect(await quota.renew([{ id: 'job_9', running: true }])).toEqual(['sent']);
    expect(await quota.renew([{ id: 'job_8', running: false }])).toEqual(['expired']);
    expect(await quota.snapshot()).toMatchObject({ inFlight: 1, requests: 0, tokens: 0 });
  });
});

describe('limits that the upstream advertises', () => {
  const advertised = { limitRequests: 100, limitTokens: 1000, remainingRequests: 60, remainingTokens: 100 };

  it('an advertised limit holds where none is configured, and otherwise the smaller of the two', async () => {
    await quota.accepted({ ...advertised, remainingRequests: 100, remainingTokens: 1000 });
    expect(await quota.snapshot()).toMatchObject({ advertisedRequests: 100, advertisedTokens: 1000 });
    const taken = await quota.reserve(needs(2, 100), { ...NO_LIMITS, tokensPerMinute: 900_000 });
    expect(taken).toMatchObject({ answers: [1100], wait: { reason: 'tokens_per_minute' } });
  });

  it('what other users of the key use counts for a minute', async () => {
    const [need] = needs(1);
    const others = { ...advertised, limitTokens: 10_000, remainingTokens: 5000 };
    await quota.reserve(needs(1), NO_LIMITS);
    await quota.accepted(others, need?.id);
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    await quota.settle(need?.id ?? '', { inputTokens: 100, outputTokens: 400, durationMs: 1000 });
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    // A minute later the advertised count is too old.
    await redis.hset(keys.state, { advertised_at: Date.now() - 62_000 });
    await quota.reserve([], NO_LIMITS);
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 500 });
  });

  it('the token count of the upstream replaces the reservation of a running job at once', async () => {
    const [first, second] = needs(2);
    const limits = { ...NO_LIMITS, tokensPerMinute: 100_000 };
    await quota.reserve(needs(2), limits);
    const seen = (tokens: number) => ({
      ...advertised,
      limitTokens: 100_000,
      remainingTokens: 100_000 - tokens,
    });
    await quota.accepted(seen(300), first?.id);
    expect(await quota.snapshot()).toMatchObject({ tokens: 1300 });
    await quota.accepted(seen(4300), second?.id);
    expect(await quota.snapshot()).toMatchObject({ tokens: 4300 });
    await quota.settle(first?.id ?? '', { inputTokens: 100, outputTokens: 200, durationMs: 1000 });
    await quota.settle(second?.id ?? '', { inputTokens: 100, outputTokens: 3900, durationMs: 1000 });
    expect(await quota.snapshot()).toMatchObject({ tokens: 4300 });
  });

  it('the limit holds even if a job turns out to be as large as the largest before it', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 30_000 };
    const [small, large] = needs(2);
    await quota.reserve(needs(2), limits);
    await quota.settle(small?.id ?? '', { inputTokens: 0, outputTokens: 1000, durationMs: 1000 });
    await quota.settle(large?.id ?? '', { inputTokens: 0, outputTokens: 9000, durationMs: 1000 });
    const { tokens: used } = await quota.snapshot();
    const { answers, wait } = await quota.reserve(needs(30, 0, 10), limits);
    const reserved = answers.map(Number).reduce((sum, one) => sum + one, 0);
    expect(wait?.reason).toBe('tokens_per_minute');
    expect(used + reserved).toBeLessThanOrEqual(30_000 * 0.95);
  });
});

describe('when all workers have to wait', () => {
  const reasonOf = async (id = 50): Promise<unknown> =>
    (await quota.reserve(needs(1, 0, id), NO_LIMITS)).wait;

  it('a 429 pauses all workers for as long as it says, and a shorter one does not shorten that', async () => {
    expect(await quota.report({ what: 'rate_limited', retryAfterMs: 5000 }, 'job_0')).toBe('new');
    expect(await quota.report({ what: 'rate_limited', retryAfterMs: 1 }, 'job_1')).toBe('known');
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeGreaterThan(4000);
  });

  it('after the time of a 429 the first jobs start one by one', async () => {
    await redis.hset(keys.state, { rate_limited_until: Date.now() - 1 });
    const taken = await quota.reserve(needs(5), NO_LIMITS);
    expect(taken).toMatchObject({ answers: [1000], wait: { reason: 'rate_limited' } });
  });

  it('without money one probe is sent after a minute, then after two, and a resume by hand ends the pause', async () => {
    const probeIn = async (): Promise<number> => {
      const { pauses } = await quota.snapshot();
      return (pauses.find(({ reason }) => reason === 'quota_exhausted')?.until ?? 0) - Date.now();
    };
    await quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_0');
    // Jobs that were on their way know nothing new.
    await quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_1');
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    expect(await probeIn()).toBeGreaterThan(55_000);
    expect(await probeIn()).toBeLessThanOrEqual(60_000);

    await redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    await quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_2');
    expect(await probeIn()).toBeGreaterThan(115_000);

    expect(await quota.resume()).toBe(true);
    expect(await quota.resume()).toBe(false);
    expect(await reasonOf()).toBeUndefined();
  });

  it('the lease of a running response lasts for minutes', async () => {
    const leftMs = async (id: string): Promise<number> =>
      Number(await redis.zscore(keys.leases, id)) - Date.now();
    await quota.reserve(needs(2), NO_LIMITS);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(4000);
    await quota.renew([{ id: 'job_0', running: false }]);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(24_000);
    await quota.accepted(NOTHING_ADVERTISED, 'job_0');
    expect(await leftMs('job_0')).toBeGreaterThan(500_000);
    await quota.renew([{ id: 'job_1', running: true }]);
    expect(await leftMs('job_1')).toBeGreaterThan(500_000);
  });

  it('a probe that is accepted ends the pause for all workers', async () => {
    await quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_0');
    await quota.accepted(NOTHING_ADVERTISED);
    expect(await reasonOf()).toBeUndefined();
  });

  it('five jobs that fail in a row open the circuit; one that fails five times may be to blame itself', async () => {
    for (let i = 0; i < 5; i += 1) expect(await quota.report({ what: 'failed' }, 'job_0')).toBe('alone');
    expect(await reasonOf(60)).toBeUndefined();
    const open = [];
    for (let i = 1; i < 5; i += 1) open.push(await quota.report({ what: 'failed' }, `job_${i}`));
    expect(open).toEqual(['alone', 'alone', 'alone', 'new']);
    expect(await reasonOf(61)).toMatchObject({ reason: 'upstream_down' });
  });

  it('an unreachable upstream pauses all workers at once, and one job tries again after a second', async () => {
    expect(await quota.report({ what: 'unreachable' }, 'job_0')).toBe('new');
    const wait = (await reasonOf()) as { reason: string; milliseconds: number };
    expect(wait.reason).toBe('upstream_down');
    expect(wait.milliseconds).toBeLessThanOrEqual(1000);
    await redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
  });

  it.each([
    ['was refused for a reason of its own', async () => quota.giveBack(['job_0'], { refused: true })],
    ['was never sent', async () => quota.giveBack(['job_0'])],
    ['ended without a verdict', async () => quota.settle('job_0', undefined)],
  ])('after a probe that %s the next job probes at once', async (_, end) => {
    await quota.report({ what: 'unreachable' }, 'another');
    await redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
    await end();
    // Only one job, because it is a probe.
    expect(reservedIn(await quota.reserve(needs(5, 0, 80), NO_LIMITS))).toHaveLength(1);
  });

  it('after a probe that is answered 429 the next job waits for as long as that says, and no longer', async () => {
    await quota.report({ what: 'quota_exhausted', isCertain: true }, 'another');
    await redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    await quota.report({ what: 'rate_limited', retryAfterMs: 1000 }, 'job_0');
    await quota.giveBack(['job_0'], { refused: true });
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeLessThanOrEqual(1000);
  });

  it('a report of another job is not taken for the result of the probe', async () => {
    await quota.report({ what: 'unreachable' }, 'another');
    await redis.hset(keys.state, { probe_at: 1 });
    await quota.reserve(needs(1), NO_LIMITS);
    await quota.report({ what: 'unreachable' }, 'one that was on its way');
    expect(await redis.hget(keys.state, 'probe_ms')).toBe('1000');
    await quota.report({ what: 'unreachable' }, 'job_0');
    expect(await redis.hget(keys.state, 'probe_ms')).toBe('2000');
  });

  it('a model that is gone is asked only by jobs without a further fallback', async () => {
    await quota.report({ what: 'gone' }, 'job_0');
    expect(await reasonOf()).toMatchObject({ reason: 'gone' });
    expect(reservedIn(await quota.reserve(needs(1, 0, 70), NO_LIMITS, { evenIfGone: true }))).toHaveLength(1);
  });
});

describe('a refusal that one job meets', () => {
  const REFUSED = { what: 'credentials_refused', words: 'who are you?' } as const;
  const another = async (id: string): Promise<boolean> => quota.accepted(NOTHING_ADVERTISED, id);
  const pauses = async () => (await quota.snapshot()).pauses;

  it('pauses the model, and another job is the first probe', async () => {
    expect(await quota.report(REFUSED, 'job_0')).toBe('new');
    expect(await pauses()).toMatchObject([{ reason: 'credentials_refused', words: 'who are you?' }]);
    await redis.hset(keys.state, { probe_at: 1 });
    expect(await quota.reserve(needs(3), NO_LIMITS)).toMatchObject({ answers: ['skipped', 1000] });
    // Right after its answer all others go.
    expect(await another('job_1')).toBe(true);
    expect(await pauses()).toEqual([]);
    expect(reservedIn(await quota.reserve(needs(3, 0, 2), NO_LIMITS))).toHaveLength(3);
  });

  it('charges a job, and delays no other job, when it fails a third time after others have passed', async () => {
    expect(await quota.report(REFUSED, 'job_0')).toBe('new');
    // While no job passes, the failure counts as an outage, however often one job meets it.
    for (let i = 0; i < 4; i += 1) expect(await quota.report(REFUSED, 'job_0')).toBe('known');
    await another('job_1');
    expect(await quota.report(REFUSED, 'job_0')).toBe('new');
    await another('job_2');
    expect(await quota.report(REFUSED, 'job_0')).toBe('alone');
    expect(await pauses()).toEqual([]);
  });

  it('ends the pause when it is the verdict of the probe', async () => {
    await quota.report(REFUSED, 'job_0');
    await another('job_1');
    await quota.report(REFUSED, 'job_0');
    await redis.hset(keys.state, { probe_at: 1, passes: 9 });
    await quota.reserve(needs(1), NO_LIMITS);
    expect(await quota.report(REFUSED, 'job_0')).toBe('alone');
    expect(await pauses()).toEqual([]);
  });

  it('is forgotten when the job passes', async () => {
    for (let i = 0; i < 5; i += 1) {
      expect(await quota.report(REFUSED, 'job_0')).toBe('new');
      await another('job_0');
    }
  });

  it('waits alone when it is throttled again and again while other jobs pass', async () => {
    const throttled = { what: 'rate_limited', retryAfterMs: 1 } as const;
    await quota.report(throttled, 'job_0');
    await another('job_1');
    await quota.report(throttled, 'job_0');
    await another('job_1');
    expect(await quota.report(throttled, 'job_0')).toBe('alone');
  });
});

describe('the pauses of an upstream that throttles', () => {
  const waitMs = async (): Promise<number> =>
    (await quota.reserve(needs(1, 0, 90), NO_LIMITS)).wait?.milliseconds ?? 0;
  const over = async () => redis.hset(keys.state, { rate_limited_until: 1 });

  it('grow while no job passes, also when the upstream asks for no wait', async () => {
    const pauses = [];
    for (let i = 0; i < 5; i += 1) {
      await quota.report({ what: 'rate_limited', retryAfterMs: 0 }, 'job_0');
      pauses.push(await waitMs());
      await over();
    }
    expect(pauses[0]).toBeGreaterThan(150);
    expect(pauses[4]).toBeGreaterThan(3500);
    await quota.accepted(NOTHING_ADVERTISED, 'job_1');
    await quota.report({ what: 'rate_limited', retryAfterMs: 0 }, 'job_0');
    expect(await waitMs()).toBeLessThanOrEqual(250);
  });

  it('are taken as they are up to a minute; a longer one is probed, and ends with a resume by hand', async () => {
    await quota.report({ what: 'rate_limited', retryAfterMs: 3_600_000 }, 'job_0');
    expect(await waitMs()).toBeLessThanOrEqual(1000);
    expect((await quota.snapshot()).pauses).toMatchObject([{ reason: 'rate_limited' }]);
    expect(await quota.resume()).toBe(true);
    expect(await waitMs()).toBe(0);
    await quota.report({ what: 'rate_limited', retryAfterMs: 59_000 }, 'job_0');
    expect(await waitMs()).toBeGreaterThan(50_000);
    expect(await quota.resume()).toBe(true);
    expect(await waitMs()).toBe(0);
  });
});

describe('trouble inside accepted responses', () => {
  it('is not over when a create is accepted, only when a response brings an answer', async () => {
    for (let i = 0; i < 5; i += 1) await quota.report({ what: 'failed', inside: true }, `job_${i}`);
    expect((await quota.snapshot()).pauses).toMatchObject([{ reason: 'upstream_down' }]);
    await redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await quota.reserve(needs(9), NO_LIMITS))).toHaveLength(1);
    expect(await quota.accepted(NOTHING_ADVERTISED, 'job_5')).toBe(false);
    const { wait } = await quota.reserve(needs(1, 0, 80), NO_LIMITS);
    expect(wait).toMatchObject({ reason: 'upstream_down' });
    expect(await quota.answered('job_5')).toBe(true);
    expect((await quota.snapshot()).pauses).toEqual([]);
  });

  it('does not count creates that were accepted as passing', async () => {
    await quota.report({ what: 'rate_limited', inside: true }, 'job_0');
    for (let i = 0; i < 4; i += 1) {
      await quota.accepted(NOTHING_ADVERTISED, 'job_1');
      await redis.hset(keys.state, { rate_limited_until: 1 });
      expect(await quota.report({ what: 'rate_limited', inside: true }, 'job_0')).toBe('new');
    }
  });
});

it.each([
  'quota_exhausted',
  'credentials_refused',
  'wrong_address',
  'unreachable',
  'gone',
  'rate_limited',
] as const)('a resume by hand ends the pause after %s', async (what) => {
  await quota.report({ what, isLast: true }, 'job_0');
  expect((await quota.snapshot()).pauses.length).toBeGreaterThan(0);
  expect(await quota.resume()).toBe(true);
  expect((await quota.snapshot()).pauses).toEqual([]);
  expect(reservedIn(await quota.reserve(needs(3), NO_LIMITS))).toHaveLength(3);
});
