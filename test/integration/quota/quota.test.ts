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
const NOTHING_TOLD: AdvertisedLimits = {
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
const granted = ({ answers }: { answers: (number | 'taken')[] }): number[] =>
  answers.filter((answer) => answer !== 'taken');

describe('a minute', () => {
  it('is any sixty seconds: what was taken counts for the next minute, and no burst at its edge is twice the limit', async () => {
    const limits = { ...NO_LIMITS, requestsPerMinute: 40, tokensPerMinute: undefined };
    // What would be spread over the minute was all taken long enough ago to be refilled, but not a minute ago.
    const step = Math.floor((Date.now() - 30_000) / 100);
    await redis.rpush(keys.window, `${step}:40:0`);
    await redis.hset(keys.state, { requests: 40, tokens: 0 });
    const { answers, wait } = await quota.reserve(needs(1), limits);
    expect(answers).toEqual([]);
    expect(wait?.reason).toBe('requests_per_minute');
    expect(wait?.milliseconds).toBeGreaterThan(29_000);
    expect(wait?.milliseconds).toBeLessThan(31_500);
  });

  it('is spread: a pause is worth three seconds of it, not all at once', async () => {
    const taken = await quota.reserve(needs(100), { ...NO_LIMITS, requestsPerMinute: 600 });
    expect(granted(taken).length).toBeGreaterThanOrEqual(30);
    expect(granted(taken).length).toBeLessThanOrEqual(32);
    expect(taken.wait).toMatchObject({ reason: 'requests_per_minute' });
    expect(taken.wait?.milliseconds).toBeLessThanOrEqual(101);
  });

  it('counts a create from when it is sent, not from when it was granted', async () => {
    await quota.reserve(needs(1), NO_LIMITS);
    // A while ago.
    const [entry = ''] = await redis.lrange(keys.window, 0, -1);
    const step = Number(entry.split(':')[0]);
    const held = (await redis.hget(keys.reservations, 'job_0')) ?? '';
    await redis.lset(keys.window, 0, entry.replace(String(step), String(step - 300)));
    await redis.hset(keys.reservations, 'job_0', held.replace(String(step), String(step - 300)));
    await quota.sent('job_0');
    const [old, now = ''] = await redis.lrange(keys.window, 0, -1);
    expect(old).toBe(`${step - 300}:0:0`);
    expect(now).toMatch(/:1:1000$/);
    expect(Number(now.split(':')[0])).toBeGreaterThanOrEqual(step);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });

  it('is not kept busy by what was expected wrongly, nor by odd numbers', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 30_000 };
    await quota.reserve([{ id: 'huge', inputTokens: 1e15, class: 'alice/high' }], limits);
    // After more than a minute: nothing of it counts any more.
    await redis.del(keys.window);
    await redis.hset(keys.state, { requests: 0, tokens: 0 });
    await quota.settle('huge', { inputTokens: -1, outputTokens: Number.NaN, durationMs: undefined });
    expect(granted(await quota.reserve(needs(1), limits))).toHaveLength(1);
    await quota.settle('job_0', { inputTokens: 1e20, outputTokens: 1e15, durationMs: 1 });
    expect((await quota.reserve(needs(1, 0, 1), limits)).wait?.reason).toBe('tokens_per_minute');
  });

  it('forgets what was taken a minute ago', async () => {
    const step = Math.floor((Date.now() - 61_500) / 100);
    await redis.rpush(keys.window, `${step}:40:100`);
    await redis.hset(keys.state, { requests: 40, tokens: 100 });
    expect(granted(await quota.reserve(needs(1), { ...NO_LIMITS, requestsPerMinute: 40 }))).toHaveLength(1);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });
});

describe('requests, tokens and places are taken together', () => {
  it('tokens stop what requests would allow, and nothing is taken for who is refused', async () => {
    const limits = { requestsPerMinute: 600, tokensPerMinute: 5000, maxInFlight: undefined };
    const taken = await quota.reserve(needs(3, 1500), limits);
    expect(granted(taken)).toEqual([2500]);
    expect(taken.wait?.reason).toBe('tokens_per_minute');
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 2500, inFlight: 1 });
  });

  it('one that needs more than a minute has goes alone, since no wait would make room for it', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 1000 };
    expect(granted(await quota.reserve(needs(1, 20_000), limits))).toEqual([21_000]);
    const next = await quota.reserve(needs(1, 1, 1), limits);
    expect(next).toMatchObject({ answers: [], wait: { reason: 'tokens_per_minute' } });
  });

  it('a place in flight is free as soon as the job is settled, and who waits hears of it', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 2 };
    const taken = await quota.reserve(needs(3), limits);
    expect(taken).toMatchObject({ answers: [1000, 1000], wait: { reason: 'max_in_flight' } });
    const listener = new Redis(server.url);
    const heard = new Promise((resolve) => listener.on('message', resolve));
    await listener.subscribe(quota.channel);
    await quota.settle('job_0', undefined);
    await heard;
    listener.disconnect();
    expect(granted(await quota.reserve(needs(1, 0, 2), limits))).toHaveLength(1);
  });

  it('of two who take for the same job one is told that it is held', async () => {
    const both = await Promise.all([quota.reserve(needs(1), NO_LIMITS), quota.reserve(needs(1), NO_LIMITS)]);
    expect(both.flatMap(({ answers }) => answers).toSorted()).toEqual([1000, 'taken']);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
  });

  it('twenty workers at once take no more than there is', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 7 };
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => quota.reserve(needs(5, 0, i * 5), limits)),
    );
    expect(all.flatMap(granted)).toHaveLength(7);
  });
});

describe('what is taken is corrected', () => {
  it('by what was really used, in the window and in the next estimate', async () => {
    await quota.reserve(needs(1, 100), NO_LIMITS);
    await quota.settle('job_0', { inputTokens: 200, outputTokens: 300, durationMs: 40 });
    expect(await quota.snapshot()).toMatchObject({
      tokens: 500,
      inFlight: 0,
      meanTokens: 500,
      meanDurationMs: 40,
    });
    expect(granted(await quota.reserve(needs(1, 100, 1), NO_LIMITS))).toEqual([500]);
  });

  it('by nothing where nobody knows what was used', async () => {
    await quota.reserve(needs(1, 100), NO_LIMITS);
    await quota.settle('job_0', undefined);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('what was never sent is given back whole; of what was refused the request stays counted', async () => {
    await quota.reserve(needs(2, 100), NO_LIMITS);
    await quota.giveBack(['job_0']);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 1 });
    await quota.sent('job_1');
    await quota.giveBack(['job_1'], { refused: true });
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 0, inFlight: 0 });
  });

  it('a dead worker’s part comes back with its lease: its place at once, its tokens unless they were sent', async () => {
    await quota.reserve(needs(2, 100), NO_LIMITS);
    await quota.sent('job_1');
    await redis.zadd(keys.leases, 1, 'job_0', 1, 'job_1');
    await quota.reserve([], NO_LIMITS);
    expect(await quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('a response that still runs has its place again, whatever the limit says', async () => {
    expect(await quota.renew([{ id: 'job_9', running: true }])).toEqual(['sent']);
    expect(await quota.renew([{ id: 'job_8', running: false }])).toEqual(['expired']);
    expect(await quota.snapshot()).toMatchObject({ inFlight: 1, requests: 0, tokens: 0 });
  });
});

describe('what the upstream tells', () => {
  const told = { limitRequests: 100, limitTokens: 1000, remainingRequests: 60, remainingTokens: 100 };

  it('is a limit where none is configured, and the smaller one where one is', async () => {
    await quota.accepted({ ...told, remainingRequests: 100, remainingTokens: 1000 });
    expect(await quota.snapshot()).toMatchObject({ advertisedRequests: 100, advertisedTokens: 1000 });
    const taken = await quota.reserve(needs(2, 100), { ...NO_LIMITS, tokensPerMinute: 900_000 });
    expect(taken).toMatchObject({ answers: [1100], wait: { reason: 'tokens_per_minute' } });
  });

  it('counts what others use who have the same key', async () => {
    const [need] = needs(1);
    const others = { ...told, limitTokens: 10_000, remainingTokens: 5000 };
    await quota.reserve(needs(1), NO_LIMITS);
    await quota.accepted(others, need?.id);
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    await quota.settle(need?.id ?? '', { inputTokens: 100, outputTokens: 400, durationMs: 1000 });
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    // A minute later nobody knows of others any more.
    await redis.hset(keys.state, { advertised_at: Date.now() - 62_000 });
    await quota.reserve([], NO_LIMITS);
    expect(await quota.snapshot()).toMatchObject({ requests: 40, tokens: 500 });
  });

  it('is the truth of a job at once, whatever was reserved for it and for those that it has not seen yet', async () => {
    const [first, second] = needs(2);
    const limits = { ...NO_LIMITS, tokensPerMinute: 100_000 };
    await quota.reserve(needs(2), limits);
    const seen = (tokens: number) => ({ ...told, limitTokens: 100_000, remainingTokens: 100_000 - tokens });
    await quota.accepted(seen(300), first?.id);
    expect(await quota.snapshot()).toMatchObject({ tokens: 1300 });
    await quota.accepted(seen(4300), second?.id);
    expect(await quota.snapshot()).toMatchObject({ tokens: 4300 });
    await quota.settle(first?.id ?? '', { inputTokens: 100, outputTokens: 200, durationMs: 1000 });
    await quota.settle(second?.id ?? '', { inputTokens: 100, outputTokens: 3900, durationMs: 1000 });
    expect(await quota.snapshot()).toMatchObject({ tokens: 4300 });
  });

  it('is kept even by one that turns out to be as large as the largest of late', async () => {
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

describe('when nobody may send', () => {
  const reasonOf = async (id = 50): Promise<unknown> =>
    (await quota.reserve(needs(1, 0, id), NO_LIMITS)).wait;

  it('a 429 holds everybody back for as long as it says, and a shorter one does not shorten that', async () => {
    expect(await quota.report({ what: 'rate_limited', retryAfterMs: 5000 }, 'job_0')).toBe('new');
    expect(await quota.report({ what: 'rate_limited', retryAfterMs: 1 }, 'job_1')).toBe('known');
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeGreaterThan(4000);
  });

  it('after it the first ones go one by one', async () => {
    await redis.hset(keys.state, { rate_limited_until: Date.now() - 1 });
    const taken = await quota.reserve(needs(5), NO_LIMITS);
    expect(taken).toMatchObject({ answers: [1000], wait: { reason: 'rate_limited' } });
  });

  it('without money one probe is sent after a minute, then after two, and a person can end the pause', async () => {
    const probeIn = async (): Promise<number> => {
      const { stops } = await quota.snapshot();
      return (stops.find(({ reason }) => reason === 'quota_exhausted')?.until ?? 0) - Date.now();
    };
    await quota.report({ what: 'quota_exhausted' }, 'job_0');
    // Others that were on their way: they know nothing new.
    await quota.report({ what: 'quota_exhausted' }, 'job_1');
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    expect(await probeIn()).toBeGreaterThan(55_000);
    expect(await probeIn()).toBeLessThanOrEqual(60_000);

    await redis.hset(keys.state, { probe_at: 1 });
    expect(granted(await quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    await quota.report({ what: 'quota_exhausted' }, 'job_0');
    expect(await probeIn()).toBeGreaterThan(115_000);

    expect(await quota.resume()).toBe(true);
    expect(await quota.resume()).toBe(false);
    expect(await reasonOf()).toBeUndefined();
  });

  it('what runs at the upstream is held for minutes, whoever looks after it', async () => {
    const leftMs = async (id: string): Promise<number> =>
      Number(await redis.zscore(keys.leases, id)) - Date.now();
    await quota.reserve(needs(2), NO_LIMITS);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(4000);
    await quota.renew([{ id: 'job_0', running: false }]);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(24_000);
    await quota.accepted(NOTHING_TOLD, 'job_0');
    expect(await leftMs('job_0')).toBeGreaterThan(500_000);
    await quota.renew([{ id: 'job_1', running: true }]);
    expect(await leftMs('job_1')).toBeGreaterThan(500_000);
  });

  it('a probe that is taken ends the pause for everybody', async () => {
    await quota.report({ what: 'quota_exhausted' }, 'job_0');
    await quota.accepted(NOTHING_TOLD);
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

  it('an upstream that nobody reaches stops all at once, and is tried by one after a second', async () => {
    expect(await quota.report({ what: 'unreachable' }, 'job_0')).toBe('new');
    const wait = (await reasonOf()) as { reason: string; milliseconds: number };
    expect(wait.reason).toBe('upstream_down');
    expect(wait.milliseconds).toBeLessThanOrEqual(1000);
    await redis.hset(keys.state, { open_until: 1 });
    expect(granted(await quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
  });

  it.each([
    ['was refused for a reason of its own', async () => quota.giveBack(['job_0'], { refused: true })],
    ['was never sent', async () => quota.giveBack(['job_0'])],
    ['ended before anybody knew', async () => quota.settle('job_0', undefined)],
  ])('a probe that %s lets the next one try at once', async (_, end) => {
    await quota.report({ what: 'unreachable' }, 'another');
    await redis.hset(keys.state, { open_until: 1 });
    expect(granted(await quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
    await end();
    // As a probe: one.
    expect(granted(await quota.reserve(needs(5, 0, 80), NO_LIMITS))).toHaveLength(1);
  });

  it('a probe that is answered 429 waits as long as that says, and no longer', async () => {
    await quota.report({ what: 'quota_exhausted' }, 'another');
    await redis.hset(keys.state, { probe_at: 1 });
    expect(granted(await quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    await quota.report({ what: 'rate_limited', retryAfterMs: 1000 }, 'job_0');
    await quota.giveBack(['job_0'], { refused: true });
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeLessThanOrEqual(1000);
  });

  it('what others are told while one probes is not taken for its verdict', async () => {
    await quota.report({ what: 'unreachable' }, 'another');
    await redis.hset(keys.state, { open_until: 1 });
    await quota.reserve(needs(1), NO_LIMITS);
    await quota.report({ what: 'unreachable' }, 'one that was on its way');
    expect(await redis.hget(keys.state, 'open_ms')).toBe('1000');
    await quota.report({ what: 'unreachable' }, 'job_0');
    expect(await redis.hget(keys.state, 'open_ms')).toBe('2000');
  });

  it('a model that is gone is not asked, but by who has no other', async () => {
    await quota.report({ what: 'gone' }, 'job_0');
    expect(await reasonOf()).toMatchObject({ reason: 'gone' });
    expect(granted(await quota.reserve(needs(1, 0, 70), NO_LIMITS, { evenIfGone: true }))).toHaveLength(1);
  });
});
