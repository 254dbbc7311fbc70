import { Redis } from 'ioredis';
import { quotaKeysOf } from '../../../src/quota/keys.ts';
import { createQuota, type Need, type Quota, type QuotaLimits } from '../../../src/quota/quota.ts';
import { startTestRedis, type TestRedis } from '../../support/redis/redis-server.ts';

const keys = quotaKeysOf('o3q', 'o3');
/** What a job without an earlier answer is expected to answer with. */
const ANSWER_TOKENS = 1000;

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

function limits(tokensPerMinute: number | undefined, requestsPerMinute?: number): QuotaLimits {
  return { tokensPerMinute, requestsPerMinute, maxInFlight: undefined };
}

/** Jobs of one tenant that need so many tokens each. */
function jobs(tenant: string, count: number, tokens: number, { tag = 0, weight = 1 } = {}): Need[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${tenant}${i}`,
    inputTokens: tokens - ANSWER_TOKENS,
    class: `${tenant}/`,
    turn: { tenant, tag, weight },
  }));
}

/** The window holds these charges, by their age in seconds. */
async function charged(tokensByAge: Readonly<Record<number, number>>): Promise<void> {
  const ages = Object.entries(tokensByAge).toSorted(([one], [other]) => Number(other) - Number(one));
  for (const [age, tokens] of ages)
    await redis.rpush(keys.window, `${Math.floor((Date.now() - Number(age) * 1000) / 100)}:1:${tokens}`);
  const sum = ages.reduce((all, [, tokens]) => all + tokens, 0);
  await redis.hset(keys.state, { requests: ages.length, tokens: sum });
}

/** Reserves for the jobs. @returns the ids with a reservation, and the tokens by tenant. */
async function reserve(needs: readonly Need[], limit: QuotaLimits) {
  const reply = await quota.reserve(needs, limit);
  const reserved = needs.flatMap((need, i) => {
    const tokens = reply.answers[i];
    return typeof tokens === 'number' ? [{ tokens, id: need.id, tenant: need.turn?.tenant ?? '' }] : [];
  });
  const tokensOf = (tenant: string): number =>
    reserved.reduce((sum, one) => sum + (one.tenant === tenant ? one.tokens : 0), 0);
  return { ...reply, ids: reserved.map(({ id }) => id), tokensOf };
}

describe('the share of a tenant', () => {
  it('is one of tokens where tokens bind, however large its jobs are', async () => {
    const needs = [...jobs('ann', 20, 10_000), ...jobs('ben', 40, 1000)];
    const { tokensOf } = await reserve(needs, limits(1_000_000));
    expect(tokensOf('ann') + tokensOf('ben')).toBeGreaterThan(50_000);
    expect(Math.abs(tokensOf('ann') - tokensOf('ben'))).toBeLessThanOrEqual(10_000);
  });

  it('is one of requests where requests bind', async () => {
    const needs = [...jobs('ann', 20, 10_000), ...jobs('ben', 20, 1000)];
    const { ids } = await reserve(needs, limits(undefined, 400));
    const ofAnn = ids.filter((id) => id.startsWith('ann')).length;
    expect(ids.length).toBeGreaterThan(15);
    expect(Math.abs(2 * ofAnn - ids.length)).toBeLessThanOrEqual(1);
  });

  it('is in proportion to its weight', async () => {
    const needs = [...jobs('ann', 40, 1000), ...jobs('ben', 40, 2000, { weight: 3 })];
    const { tokensOf } = await reserve(needs, limits(1_000_000));
    expect(Math.abs(tokensOf('ben') - 3 * tokensOf('ann'))).toBeLessThanOrEqual(8000);
  });

  it('has costs in minutes of the limit that binds', async () => {
    const { costs } = await reserve([...jobs('ann', 1, 3000), ...jobs('ben', 1, 1000)], limits(100_000, 50));
    expect(costs).toEqual([0.03, 0.02]);
    expect((await reserve(jobs('eve', 1, 5000), limits(undefined))).costs).toEqual([0.001]);
  });
});

describe('a large job', () => {
  it('does not keep small ones waiting until the pace has paid for it', async () => {
    expect((await reserve(jobs('ann', 1, 50_000), limits(60_000))).ids).toEqual(['ann0']);
    const { ids, wait } = await reserve(jobs('ben', 2, 1000), limits(60_000));
    expect(ids).toEqual(['ben0']);
    expect(wait?.milliseconds).toBeLessThan(1000);
  });

  it('is passed by small ones while it does not fit', async () => {
    await charged({ 30: 60_000 });
    const needs = [...jobs('ann', 2, 50_000), ...jobs('ben', 3, 1000, { tag: 1 })];
    const { ids, wait, onlyLarge } = await reserve(needs, limits(100_000));
    expect(ids).toEqual(['ben0', 'ben1', 'ben2']);
    expect({ reason: wait?.reason, onlyLarge }).toEqual({ reason: 'tokens_per_minute', onlyLarge: true });
    expect(wait?.milliseconds).toBeGreaterThan(29_000);
    expect(wait?.milliseconds).toBeLessThan(32_000);
  });

  it('is not passed by jobs that would still be in its way when its turn comes', async () => {
    await charged({ 30: 10_000, 10: 45_000 });
    // In 31 s ten thousand tokens are free again, five thousand more than it lacks.
    const needs = [...jobs('ann', 1, 50_000), ...jobs('ben', 2, 4000, { tag: 1 })];
    expect((await reserve(needs, limits(100_000))).ids).toEqual(['ben0']);
  });

  it('waits behind the jobs of tenants whose turn is before', async () => {
    await charged({ 30: 10_000, 10: 45_000 });
    const needs = [...jobs('ann', 1, 50_000, { tag: 1 }), ...jobs('ben', 2, 4000)];
    expect((await reserve(needs, limits(100_000))).ids).toEqual(['ben0', 'ben1']);
  });

  it('of another queue keeps its claim once it is 15 s old, until no dispatcher asks for it', async () => {
    await charged({ 30: 10_000, 10: 45_000 });
    await reserve(jobs('ann', 1, 50_000), limits(100_000));
    const [claim = ''] = await redis.hmget(keys.state, 'claim');
    expect(claim).toMatch(/^ann0 50000 \d+ \d+$/);
    expect((await reserve(jobs('ben', 1, 6000), limits(100_000))).ids).toEqual(['ben0']);
    await quota.giveBack(['ben0']);
    const claimed = (ageMs: number, seenMs: number) =>
      redis.hset(keys.state, 'claim', `ann0 50000 ${Date.now() - ageMs} ${Date.now() - seenMs}`);
    await claimed(16_000, 0);
    expect((await reserve(jobs('ben', 1, 6000), limits(100_000))).ids).toEqual([]);
    await claimed(16_000, 3500);
    expect((await reserve(jobs('ben', 1, 6000), limits(100_000))).ids).toEqual(['ben0']);
  });
});
