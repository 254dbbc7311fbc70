import {
  keys,
  NO_LIMITS,
  NOTHING_ADVERTISED,
  needs,
  reservedIn,
  useQuotaWorld,
} from '../../support/worlds/quota-world.ts';

/** The pauses of an upstream model: what begins one, what ends it, and whom it concerns. */

const world = useQuotaWorld();

describe('when all workers have to wait', () => {
  const reasonOf = async (id = 50): Promise<unknown> =>
    (await world.quota.reserve(needs(1, 0, id), NO_LIMITS)).wait;

  it('a 429 pauses all workers for as long as it says, and a shorter one does not shorten that', async () => {
    expect(await world.quota.report({ what: 'rate_limited', retryAfterMs: 5000 }, 'job_0')).toBe('new');
    expect(await world.quota.report({ what: 'rate_limited', retryAfterMs: 1 }, 'job_1')).toBe('known');
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeGreaterThan(4000);
  });

  it('after the time of a 429 the first jobs start one by one', async () => {
    await world.redis.hset(keys.state, { rate_limited_until: Date.now() - 1 });
    const taken = await world.quota.reserve(needs(5), NO_LIMITS);
    expect(taken).toMatchObject({ answers: [1000], wait: { reason: 'rate_limited' } });
  });

  it('without money one probe is sent after a minute, then after two, and a resume by hand ends the pause', async () => {
    const probeIn = async (): Promise<number> => {
      const { pauses } = await world.quota.snapshot();
      return (pauses.find(({ reason }) => reason === 'quota_exhausted')?.until ?? 0) - Date.now();
    };
    await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_0');
    // Jobs that were on their way know nothing new.
    await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_1');
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    expect(await probeIn()).toBeGreaterThan(55_000);
    expect(await probeIn()).toBeLessThanOrEqual(60_000);

    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await world.quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'quota_exhausted' });
    await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_2');
    expect(await probeIn()).toBeGreaterThan(115_000);

    expect(await world.quota.resume()).toBe(true);
    expect(await world.quota.resume()).toBe(false);
    expect(await reasonOf()).toBeUndefined();
  });

  it('a probe that is accepted ends the pause for all workers', async () => {
    await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_0');
    await world.quota.accepted(NOTHING_ADVERTISED);
    expect(await reasonOf()).toBeUndefined();
  });

  it('five jobs that fail in a row open the circuit; one that fails five times may be to blame itself', async () => {
    for (let i = 0; i < 5; i += 1)
      expect(await world.quota.report({ what: 'failed' }, 'job_0')).toBe('alone');
    expect(await reasonOf(60)).toBeUndefined();
    const open = [];
    for (let i = 1; i < 5; i += 1) open.push(await world.quota.report({ what: 'failed' }, `job_${i}`));
    expect(open).toEqual(['alone', 'alone', 'alone', 'new']);
    expect(await reasonOf(61)).toMatchObject({ reason: 'upstream_down' });
  });

  it('an unreachable upstream pauses all workers at once, and one job tries again after a second', async () => {
    expect(await world.quota.report({ what: 'unreachable' }, 'job_0')).toBe('new');
    const wait = (await reasonOf()) as { reason: string; milliseconds: number };
    expect(wait.reason).toBe('upstream_down');
    expect(wait.milliseconds).toBeLessThanOrEqual(1000);
    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await world.quota.reserve(needs(5), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
  });

  it.each([
    ['was refused for a reason of its own', async () => world.quota.giveBack(['job_0'], { why: 'refused' })],
    ['was never sent', async () => world.quota.giveBack(['job_0'])],
    ['ended without a verdict', async () => world.quota.settle('job_0', undefined)],
  ])('after a probe that %s the next job probes at once', async (_, end) => {
    await world.quota.report({ what: 'unreachable' }, 'another');
    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await world.quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    expect(await reasonOf()).toMatchObject({ reason: 'upstream_down' });
    await end();
    // Only one job, because it is a probe.
    expect(reservedIn(await world.quota.reserve(needs(5, 0, 80), NO_LIMITS))).toHaveLength(1);
  });

  it('after a probe that is answered 429 the next job waits for as long as that says, and no longer', async () => {
    await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'another');
    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await world.quota.reserve(needs(1), NO_LIMITS))).toHaveLength(1);
    await world.quota.report({ what: 'rate_limited', retryAfterMs: 1000 }, 'job_0');
    await world.quota.giveBack(['job_0'], { why: 'refused' });
    const wait = await reasonOf();
    expect(wait).toMatchObject({ reason: 'rate_limited' });
    expect((wait as { milliseconds: number }).milliseconds).toBeLessThanOrEqual(1000);
  });

  it('a report of another job is not taken for the result of the probe', async () => {
    await world.quota.report({ what: 'unreachable' }, 'another');
    await world.redis.hset(keys.state, { probe_at: 1 });
    await world.quota.reserve(needs(1), NO_LIMITS);
    await world.quota.report({ what: 'unreachable' }, 'one that was on its way');
    expect(await world.redis.hget(keys.state, 'probe_ms')).toBe('1000');
    await world.quota.report({ what: 'unreachable' }, 'job_0');
    expect(await world.redis.hget(keys.state, 'probe_ms')).toBe('2000');
  });

  it('a model that is gone is asked only by jobs without a further fallback', async () => {
    await world.quota.report({ what: 'gone' }, 'job_0');
    expect(await reasonOf()).toMatchObject({ reason: 'gone' });
    expect(
      reservedIn(await world.quota.reserve(needs(1, 0, 70), NO_LIMITS, { evenIfGone: true })),
    ).toHaveLength(1);
  });
});

describe('a refusal that one job meets', () => {
  const REFUSED = { what: 'credentials_refused', words: 'who are you?' } as const;
  const another = async (id: string): Promise<boolean> => world.quota.accepted(NOTHING_ADVERTISED, id);
  const pauses = async () => (await world.quota.snapshot()).pauses;

  it('pauses the model, and another job is the first probe', async () => {
    expect(await world.quota.report(REFUSED, 'job_0')).toBe('new');
    expect(await pauses()).toMatchObject([{ reason: 'credentials_refused', words: 'who are you?' }]);
    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(await world.quota.reserve(needs(3), NO_LIMITS)).toMatchObject({ answers: ['skipped', 1000] });
    // Right after its answer all others go.
    expect(await another('job_1')).toBe(true);
    expect(await pauses()).toEqual([]);
    expect(reservedIn(await world.quota.reserve(needs(3, 0, 2), NO_LIMITS))).toHaveLength(3);
  });

  it('charges a job, and delays no other job, when it fails a third time after others have passed', async () => {
    expect(await world.quota.report(REFUSED, 'job_0')).toBe('new');
    // While no job passes, the failure counts as an outage, however often one job meets it.
    for (let i = 0; i < 4; i += 1) expect(await world.quota.report(REFUSED, 'job_0')).toBe('known');
    await another('job_1');
    expect(await world.quota.report(REFUSED, 'job_0')).toBe('new');
    await another('job_2');
    expect(await world.quota.report(REFUSED, 'job_0')).toBe('alone');
    expect(await pauses()).toEqual([]);
  });

  it('ends the pause when it is the verdict of the probe', async () => {
    await world.quota.report(REFUSED, 'job_0');
    await another('job_1');
    await world.quota.report(REFUSED, 'job_0');
    await world.redis.hset(keys.state, { probe_at: 1, passes: 9 });
    await world.quota.reserve(needs(1), NO_LIMITS);
    expect(await world.quota.report(REFUSED, 'job_0')).toBe('alone');
    expect(await pauses()).toEqual([]);
  });

  it('is forgotten when the job passes', async () => {
    for (let i = 0; i < 5; i += 1) {
      expect(await world.quota.report(REFUSED, 'job_0')).toBe('new');
      await another('job_0');
    }
  });

  it('waits alone when it is throttled again and again while other jobs pass', async () => {
    const throttled = { what: 'rate_limited', retryAfterMs: 1 } as const;
    await world.quota.report(throttled, 'job_0');
    await another('job_1');
    await world.quota.report(throttled, 'job_0');
    await another('job_1');
    expect(await world.quota.report(throttled, 'job_0')).toBe('alone');
  });
});

describe('the pauses of an upstream that throttles', () => {
  const waitMs = async (): Promise<number> =>
    (await world.quota.reserve(needs(1, 0, 90), NO_LIMITS)).wait?.milliseconds ?? 0;
  const over = async () => world.redis.hset(keys.state, { rate_limited_until: 1 });

  it('grow while no job passes, also when the upstream asks for no wait', async () => {
    const pauses = [];
    for (let i = 0; i < 5; i += 1) {
      await world.quota.report({ what: 'rate_limited', retryAfterMs: 0 }, 'job_0');
      pauses.push(await waitMs());
      await over();
    }
    expect(pauses[0]).toBeGreaterThan(150);
    expect(pauses[4]).toBeGreaterThan(3500);
    await world.quota.accepted(NOTHING_ADVERTISED, 'job_1');
    await world.quota.report({ what: 'rate_limited', retryAfterMs: 0 }, 'job_0');
    expect(await waitMs()).toBeLessThanOrEqual(250);
  });

  it('are taken as they are up to a minute; a longer one is probed, and ends with a resume by hand', async () => {
    await world.quota.report({ what: 'rate_limited', retryAfterMs: 3_600_000 }, 'job_0');
    expect(await waitMs()).toBeLessThanOrEqual(1000);
    expect((await world.quota.snapshot()).pauses).toMatchObject([{ reason: 'rate_limited' }]);
    expect(await world.quota.resume()).toBe(true);
    expect(await waitMs()).toBe(0);
    await world.quota.report({ what: 'rate_limited', retryAfterMs: 59_000 }, 'job_0');
    expect(await waitMs()).toBeGreaterThan(50_000);
    expect(await world.quota.resume()).toBe(true);
    expect(await waitMs()).toBe(0);
  });
});

describe('trouble inside accepted responses', () => {
  it('is not over when a create is accepted, only when a response brings an answer', async () => {
    for (let i = 0; i < 5; i += 1) await world.quota.report({ what: 'failed', inside: true }, `job_${i}`);
    expect((await world.quota.snapshot()).pauses).toMatchObject([{ reason: 'upstream_down' }]);
    await world.redis.hset(keys.state, { probe_at: 1 });
    expect(reservedIn(await world.quota.reserve(needs(9), NO_LIMITS))).toHaveLength(1);
    expect(await world.quota.accepted(NOTHING_ADVERTISED, 'job_5')).toBe(false);
    const { wait } = await world.quota.reserve(needs(1, 0, 80), NO_LIMITS);
    expect(wait).toMatchObject({ reason: 'upstream_down' });
    expect(await world.quota.settle('job_5', undefined, true)).toBe(true);
    expect((await world.quota.snapshot()).pauses).toEqual([]);
  });

  it('adds up although the creates of the failing jobs are accepted, and an answer ends the count', async () => {
    const failOnce = async (id: string): Promise<unknown> => {
      await world.quota.accepted(NOTHING_ADVERTISED, id);
      return world.quota.report({ what: 'failed', inside: true }, id);
    };
    for (let i = 0; i < 4; i += 1) expect(await failOnce(`job_${i}`)).toBe('alone');
    await world.quota.settle('job_4', undefined, true);
    for (let i = 5; i < 9; i += 1) expect(await failOnce(`job_${i}`)).toBe('alone');
    expect(await failOnce('job_9')).toBe('new');
    expect((await world.quota.snapshot()).pauses).toMatchObject([{ reason: 'upstream_down' }]);
  });

  it('does not count creates that were accepted as passing', async () => {
    await world.quota.report({ what: 'rate_limited', inside: true }, 'job_0');
    for (let i = 0; i < 4; i += 1) {
      await world.quota.accepted(NOTHING_ADVERTISED, 'job_1');
      await world.redis.hset(keys.state, { rate_limited_until: 1 });
      expect(await world.quota.report({ what: 'rate_limited', inside: true }, 'job_0')).toBe('new');
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
  await world.quota.report({ what, isLast: true }, 'job_0');
  expect((await world.quota.snapshot()).pauses.length).toBeGreaterThan(0);
  expect(await world.quota.resume()).toBe(true);
  expect((await world.quota.snapshot()).pauses).toEqual([]);
  expect(reservedIn(await world.quota.reserve(needs(3), NO_LIMITS))).toHaveLength(3);
});

it('new credentials end the pause after refused ones, and no other', async () => {
  await world.quota.report({ what: 'quota_exhausted', isCertain: true }, 'job_0');
  await world.quota.retryCredentials();
  expect((await world.quota.snapshot()).pauses).toMatchObject([{ reason: 'quota_exhausted' }]);
  await world.quota.resume();
  await world.quota.report({ what: 'credentials_refused' }, 'job_0');
  await world.quota.retryCredentials();
  expect((await world.quota.snapshot()).pauses).toEqual([]);
});
