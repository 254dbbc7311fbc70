import {
  keys,
  NO_LIMITS,
  NOTHING_ADVERTISED,
  needs,
  reservedIn,
  useQuotaWorld,
} from '../../support/worlds/quota-world.ts';

const world = useQuotaWorld();

describe('the window of a minute', () => {
  it('a reservation counts for the next 60 seconds, so that no burst at the edge of a minute is twice the limit', async () => {
    const limits = { ...NO_LIMITS, requestsPerMinute: 40, tokensPerMinute: undefined };
    // All of it was charged long enough ago for the even share to be refilled, but not a minute ago.
    const step = Math.floor((Date.now() - 30_000) / 100);
    await world.redis.rpush(keys.window, `${step}:40:0`);
    await world.redis.hset(keys.state, { requests: 40, tokens: 0 });
    const { answers, wait } = await world.quota.reserve(needs(1), limits);
    expect(answers).toEqual([]);
    expect(wait?.reason).toBe('requests_per_minute');
    expect(wait?.milliseconds).toBeGreaterThan(29_000);
    expect(wait?.milliseconds).toBeLessThan(31_500);
  });

  it('starts are spread over the minute: after a pause, three seconds of them start at once', async () => {
    const taken = await world.quota.reserve(needs(100), { ...NO_LIMITS, requestsPerMinute: 600 });
    expect(reservedIn(taken).length).toBeGreaterThanOrEqual(30);
    expect(reservedIn(taken).length).toBeLessThanOrEqual(32);
    expect(taken.wait).toMatchObject({ reason: 'requests_per_minute' });
    expect(taken.wait?.milliseconds).toBeLessThanOrEqual(101);
  });

  it('a create request counts from when it is sent, not from when it was reserved', async () => {
    await world.quota.reserve(needs(1), NO_LIMITS);
    // A while ago.
    const [entry = ''] = await world.redis.lrange(keys.window, 0, -1);
    const step = Number(entry.split(':')[0]);
    const stored = (await world.redis.hget(keys.reservations, 'job_0')) ?? '';
    await world.redis.lset(keys.window, 0, entry.replace(String(step), String(step - 300)));
    await world.redis.hset(keys.reservations, 'job_0', stored.replace(String(step), String(step - 300)));
    await world.quota.renew([{ id: 'job_0', phase: 'sending' }]);
    const [old, now = ''] = await world.redis.lrange(keys.window, 0, -1);
    expect(old).toBe(`${step - 300}:0:0`);
    expect(now).toMatch(/:1:1000$/);
    expect(Number(now.split(':')[0])).toBeGreaterThanOrEqual(step);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });

  it('a wrong estimate or an odd number delays the next job by a minute at most', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 30_000 };
    await world.quota.reserve([{ id: 'huge', inputTokens: 1e15, class: 'alice/high' }], limits);
    // After more than a minute: nothing of it counts any more.
    await world.redis.del(keys.window);
    await world.redis.hset(keys.state, { requests: 0, tokens: 0 });
    await world.quota.settle('huge', { inputTokens: -1, outputTokens: Number.NaN, durationMs: undefined });
    expect(reservedIn(await world.quota.reserve(needs(1), limits))).toHaveLength(1);
    await world.quota.settle('job_0', { inputTokens: 1e20, outputTokens: 1e15, durationMs: 1 });
    expect((await world.quota.reserve(needs(1, 0, 1), limits)).wait?.reason).toBe('tokens_per_minute');
  });

  it('what was charged more than a minute ago no longer counts', async () => {
    const step = Math.floor((Date.now() - 61_500) / 100);
    await world.redis.rpush(keys.window, `${step}:40:100`);
    await world.redis.hset(keys.state, { requests: 40, tokens: 100 });
    expect(
      reservedIn(await world.quota.reserve(needs(1), { ...NO_LIMITS, requestsPerMinute: 40 })),
    ).toHaveLength(1);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 1000 });
  });
});

describe('requests, tokens and slots are reserved together', () => {
  it('a job that has too few tokens reserves no request either', async () => {
    const limits = { requestsPerMinute: 600, tokensPerMinute: 5000, maxInFlight: undefined };
    const taken = await world.quota.reserve(needs(3, 1500), limits);
    expect(reservedIn(taken)).toEqual([2500]);
    expect(taken.wait?.reason).toBe('tokens_per_minute');
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 2500, inFlight: 1 });
  });

  it('a job that needs more tokens than a minute has starts alone', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 1000 };
    expect(reservedIn(await world.quota.reserve(needs(1, 20_000), limits))).toEqual([21_000]);
    const next = await world.quota.reserve(needs(1, 1, 1), limits);
    expect(next).toMatchObject({ answers: [], wait: { reason: 'tokens_per_minute' } });
  });

  it('a slot in flight is free as soon as its job is settled, and dispatchers that wait are woken', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 2 };
    const taken = await world.quota.reserve(needs(3), limits);
    expect(taken).toMatchObject({ answers: [1000, 1000], wait: { reason: 'max_in_flight' } });
    const listener = world.redis.duplicate();
    const heard = new Promise((resolve) => listener.on('message', resolve));
    await listener.subscribe(world.quota.channel);
    await world.quota.settle('job_0', undefined);
    await heard;
    listener.disconnect();
    expect(reservedIn(await world.quota.reserve(needs(1, 0, 2), limits))).toHaveLength(1);
  });

  it('two dispatchers that reserve for the same job get one reservation', async () => {
    const both = await Promise.all([
      world.quota.reserve(needs(1), NO_LIMITS),
      world.quota.reserve(needs(1), NO_LIMITS),
    ]);
    expect(both.flatMap(({ answers }) => answers).toSorted()).toEqual([1000, 'taken']);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, inFlight: 1 });
  });

  it('twenty workers at once reserve no more than the limit', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 7 };
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => world.quota.reserve(needs(5, 0, i * 5), limits)),
    );
    expect(all.flatMap(reservedIn)).toHaveLength(7);
  });
});

describe('settling a reservation', () => {
  it('settling replaces the reservation by the usage, in the window and in the next estimate', async () => {
    await world.quota.reserve(needs(1, 100), NO_LIMITS);
    await world.quota.settle('job_0', { inputTokens: 200, outputTokens: 300, durationMs: 40 });
    expect(await world.quota.snapshot()).toMatchObject({
      tokens: 500,
      inFlight: 0,
      meanTokens: 500,
      meanDurationMs: 40,
    });
    expect(reservedIn(await world.quota.reserve(needs(1, 100, 1), NO_LIMITS))).toEqual([500]);
  });

  it('settling without a known usage leaves the reservation charged', async () => {
    await world.quota.reserve(needs(1, 100), NO_LIMITS);
    await world.quota.settle('job_0', undefined);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('an unsent reservation is given back whole; after a refusal the request stays charged', async () => {
    await world.quota.reserve(needs(2, 100), NO_LIMITS);
    await world.quota.giveBack(['job_0']);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 1 });
    await world.quota.renew([{ id: 'job_1', phase: 'sending' }]);
    await world.quota.giveBack(['job_1'], { why: 'refused' });
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 0, inFlight: 0 });
  });

  it('a dead worker’s reservations end with their leases, and stay charged if they were sent', async () => {
    await world.quota.reserve(needs(2, 100), NO_LIMITS);
    await world.quota.renew([{ id: 'job_1', phase: 'sending' }]);
    await world.redis.zadd(keys.leases, 1, 'job_0', 1, 'job_1');
    await world.quota.reserve([], NO_LIMITS);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 1, tokens: 1100, inFlight: 0 });
  });

  it('a response that still runs gets its slot back even beyond the limit', async () => {
    expect(await world.quota.renew([{ id: 'job_9', phase: 'running' }])).toEqual(['sent']);
    expect(await world.quota.renew([{ id: 'job_8', phase: 'reserved' }])).toEqual(['expired']);
    expect(await world.quota.snapshot()).toMatchObject({ inFlight: 1, requests: 0, tokens: 0 });
  });

  it('the lease of a running response ends when its job waits again and no worker has renewed it for 24 s', async () => {
    const limits = { ...NO_LIMITS, maxInFlight: 1 };
    await world.quota.renew([{ id: 'job_0', phase: 'running' }]);
    expect((await world.quota.reserve(needs(1), limits)).answers).toEqual(['taken']);
    await world.redis.zincrby(keys.leases, -25_000, 'job_0');
    expect(reservedIn(await world.quota.reserve(needs(1), limits))).toEqual([1000]);
    expect(await world.quota.snapshot()).toMatchObject({ inFlight: 1, requests: 1 });
  });

  it('the lease of a running response lasts for minutes', async () => {
    const leftMs = async (id: string): Promise<number> =>
      Number(await world.redis.zscore(keys.leases, id)) - Date.now();
    await world.quota.reserve(needs(2), NO_LIMITS);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(4000);
    await world.quota.renew([{ id: 'job_0', phase: 'reserved' }]);
    expect(await leftMs('job_0')).toBeLessThanOrEqual(24_000);
    await world.quota.accepted(NOTHING_ADVERTISED, 'job_0');
    expect(await leftMs('job_0')).toBeGreaterThan(500_000);
    await world.quota.renew([{ id: 'job_1', phase: 'running' }]);
    expect(await leftMs('job_1')).toBeGreaterThan(500_000);
  });
});

describe('limits that the upstream advertises', () => {
  const advertised = { limitRequests: 100, limitTokens: 1000, remainingRequests: 60, remainingTokens: 100 };

  it('an advertised limit holds where none is configured, and otherwise the smaller of the two', async () => {
    await world.quota.accepted({ ...advertised, remainingRequests: 100, remainingTokens: 1000 });
    expect(await world.quota.snapshot()).toMatchObject({ advertisedRequests: 100, advertisedTokens: 1000 });
    const taken = await world.quota.reserve(needs(2, 100), { ...NO_LIMITS, tokensPerMinute: 900_000 });
    expect(taken).toMatchObject({ answers: [1100], wait: { reason: 'tokens_per_minute' } });
  });

  it('what other users of the key use counts for a minute', async () => {
    const [need] = needs(1);
    const others = { ...advertised, limitTokens: 10_000, remainingTokens: 5000 };
    await world.quota.reserve(needs(1), NO_LIMITS);
    await world.quota.accepted(others, need?.id);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    await world.quota.settle(need?.id ?? '', { inputTokens: 100, outputTokens: 400, durationMs: 1000 });
    expect(await world.quota.snapshot()).toMatchObject({ requests: 40, tokens: 5000 });
    // A minute later the advertised count is too old.
    await world.redis.hset(keys.state, { advertised_at: Date.now() - 62_000 });
    await world.quota.reserve([], NO_LIMITS);
    expect(await world.quota.snapshot()).toMatchObject({ requests: 40, tokens: 500 });
  });

  it('the token count of the upstream replaces the reservation of a running job at once', async () => {
    const [first, second] = needs(2);
    const limits = { ...NO_LIMITS, tokensPerMinute: 100_000 };
    await world.quota.reserve(needs(2), limits);
    const seen = (tokens: number) => ({
      ...advertised,
      limitTokens: 100_000,
      remainingTokens: 100_000 - tokens,
    });
    await world.quota.accepted(seen(300), first?.id);
    expect(await world.quota.snapshot()).toMatchObject({ tokens: 1300 });
    await world.quota.accepted(seen(4300), second?.id);
    expect(await world.quota.snapshot()).toMatchObject({ tokens: 4300 });
    await world.quota.settle(first?.id ?? '', { inputTokens: 100, outputTokens: 200, durationMs: 1000 });
    await world.quota.settle(second?.id ?? '', { inputTokens: 100, outputTokens: 3900, durationMs: 1000 });
    expect(await world.quota.snapshot()).toMatchObject({ tokens: 4300 });
  });

  it('the limit holds even if a job turns out to be as large as the largest before it', async () => {
    const limits = { ...NO_LIMITS, tokensPerMinute: 30_000 };
    const [small, large] = needs(2);
    await world.quota.reserve(needs(2), limits);
    await world.quota.settle(small?.id ?? '', { inputTokens: 0, outputTokens: 1000, durationMs: 1000 });
    await world.quota.settle(large?.id ?? '', { inputTokens: 0, outputTokens: 9000, durationMs: 1000 });
    const { tokens: used } = await world.quota.snapshot();
    const { answers, wait } = await world.quota.reserve(needs(30, 0, 10), limits);
    const reserved = answers.map(Number).reduce((sum, one) => sum + one, 0);
    expect(wait?.reason).toBe('tokens_per_minute');
    expect(used + reserved).toBeLessThanOrEqual(30_000 * 0.95);
  });
});
