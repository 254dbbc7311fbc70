import { ApiError } from '../../../simulator/api/errors.ts';
import { type RateLimit, resolveLimits } from '../../../simulator/limits/rate-limit.ts';
import { goDuration } from '../../../simulator/limits/rate-limit-refusals.ts';
import { createRateLimits } from '../../../simulator/limits/rate-limits.ts';

const START_MS = 1_795_392_000_000;
const MINUTE = 60_000;

/** Limits on a clock that stands still until it is set, in milliseconds since the start. */
function limitsOf(limit: RateLimit) {
  let nowMs = START_MS;
  let refused = 0;
  const models = ['o3', 'gpt-5'];
  const limits = createRateLimits({
    models,
    limitOf: resolveLimits(limit, models),
    now: () => nowMs,
    onRefused: () => {
      refused += 1;
    },
  });
  return {
    limits,
    refused: () => refused,
    take: (atMs: number, tokens: number, model = 'o3') => {
      nowMs = START_MS + atMs;
      try {
        return { status: 200, headers: limits.take(model, tokens), message: '', type: '' };
      } catch (error: unknown) {
        if (!(error instanceof ApiError)) throw error;
        const { status, headers, message } = error;
        return { status, headers, message, type: error.body.type };
      }
    },
  };
}

describe('the sliding window of a rate limit', () => {
  it('a create counts for exactly 60 seconds from its own instant', () => {
    const { take } = limitsOf({ requestsPerMinute: 2 });
    expect([0, 30_000, 59_999].map((atMs) => take(atMs, 1).status)).toEqual([200, 200, 429]);
    expect([MINUTE, MINUTE, 89_999, 90_000].map((atMs) => take(atMs, 1).status)).toEqual([
      200, 429, 429, 200,
    ]);
  });

  it('the wait that a refusal asks for is exactly the time until the tokens fit', () => {
    const { take } = limitsOf({ tokensPerMinute: 1000 });
    take(0, 300);
    take(1000, 300);
    take(2500, 300);
    const refused = take(10_000, 500);
    // 100 are free; the 300 of the start are not enough, those of the first second are.
    expect(refused).toMatchObject({
      status: 429,
      type: 'tokens',
      headers: { 'retry-after': '51', 'retry-after-ms': '51000', 'x-ratelimit-remaining-tokens': '100' },
    });
    expect(refused.message).toContain(
      'Rate limit reached for o3 in organization org-simulator on tokens per min (TPM): Limit 1000, Used 900, Requested 500. Please try again in 51s.',
    );
    expect(take(60_999, 500).status).toBe(429);
    expect(take(61_000, 500).status).toBe(200);
  });

  it('no 60 seconds hold more than the limit, for any sequence of creates', () => {
    const { take, limits } = limitsOf({ requestsPerMinute: 40, tokensPerMinute: 10_000 });
    const accepted: { atMs: number; tokens: number }[] = [];
    let atMs = 0;
    for (let index = 0; index < 20_000; index += 1) {
      // Fixed, but without a pattern: bursts and pauses, small and large.
      atMs += (index * 7919) % 37 === 0 ? 900 : (index * 31) % 23;
      const tokens = 1 + ((index * 104_729) % 900);
      if (take(atMs, tokens).status === 200) accepted.push({ atMs, tokens });
    }
    let peak = { requests: 0, tokens: 0 };
    for (const [index, last] of accepted.entries()) {
      const inWindow = accepted.slice(0, index + 1).filter((each) => last.atMs - each.atMs < MINUTE);
      const tokens = inWindow.reduce((sum, each) => sum + each.tokens, 0);
      expect(inWindow.length).toBeLessThanOrEqual(40);
      expect(tokens).toBeLessThanOrEqual(10_000);
      peak = { requests: Math.max(peak.requests, inWindow.length), tokens: Math.max(peak.tokens, tokens) };
    }
    expect(limits.report()['o3']).toMatchObject({
      peak,
      accepted: accepted.length,
      refused: 20_000 - accepted.length,
      tokens: accepted.reduce((sum, each) => sum + each.tokens, 0),
      first_accepted_at: START_MS + (accepted[0]?.atMs ?? -1),
      last_accepted_at: START_MS + (accepted.at(-1)?.atMs ?? -1),
    });
  });

  it('a refused create takes nothing, and the refusal names the limit that takes longer', () => {
    const { take, limits, refused } = limitsOf({ requestsPerMinute: 2, tokensPerMinute: 100 });
    take(0, 10);
    take(1000, 90);
    expect(take(2000, 20)).toMatchObject({ type: 'tokens', headers: { 'retry-after-ms': '59000' } });
    expect(take(2000, 5)).toMatchObject({ type: 'tokens', headers: { 'retry-after-ms': '58000' } });
    expect(limits.report()['o3']).toMatchObject({ used: { requests: 2, tokens: 100 }, refused: 2 });
    expect(refused()).toBe(2);
  });

  it('a create larger than the whole limit is refused without a time to wait', () => {
    const { take } = limitsOf({ tokensPerMinute: 30_000 });
    const refused = take(0, 50_000);
    expect(refused).toMatchObject({ status: 429, type: 'tokens', headers: {} });
    expect(refused.message).toContain(
      'Request too large for o3 in organization org-simulator on tokens per min (TPM): Limit 30000, Requested 50000. ',
    );
    expect(take(0, 30_000).status).toBe(200);
  });

  it('each model has its own window, and reset() forgets them all', () => {
    const { take, limits } = limitsOf({ requestsPerMinute: 1 });
    expect([take(0, 1).status, take(0, 1, 'gpt-5').status, take(0, 1).status]).toEqual([200, 200, 429]);
    limits.reset();
    expect(limits.report()['o3']).toMatchObject({ used: { requests: 0, tokens: 0 }, accepted: 0 });
    expect(take(0, 1).status).toBe(200);
  });
});

describe('the limits as options', () => {
  it("a value that a model's own entry omits is that of all models", () => {
    const options = { requestsPerMinute: 5, tokensPerMinute: 50, limits: { o3: { tokensPerMinute: 7 } } };
    const limitOf = resolveLimits(options, ['o3', 'gpt-5']);
    expect(limitOf('o3')).toEqual({ requestsPerMinute: 5, tokensPerMinute: 7 });
    expect(limitOf('gpt-5')).toEqual({ requestsPerMinute: 5, tokensPerMinute: 50 });
  });

  it.each<[object, string]>([
    [{ requestsPerMinute: 0 }, 'requestsPerMinute must be a whole number, 1 or more, got 0'],
    [{ limits: { o3: { tokensPerMinute: 1.5 } } }, 'limits.o3.tokensPerMinute must be a whole number'],
    [{ limits: { o4: {} } }, 'limits must name models of the simulator (o3), got o4'],
    [{ limits: { o3: { tokensPerMinuet: 1 } } }, 'got tokensPerMinuet'],
  ])('limits that are misspelt or out of range are refused: %j', (options, message) => {
    expect(() => resolveLimits(options, ['o3'])).toThrow(message);
  });
});

describe("a duration in Go's form", () => {
  it.each([
    [0, '0s'],
    [0.2, '1ms'],
    [120, '120ms'],
    [1200, '1.2s'],
    [59_999.5, '1m0s'],
    [360_000, '6m0s'],
    [3_723_004, '1h2m3.004s'],
  ])('%d milliseconds are %s', (milliseconds, text) => {
    expect(goDuration(milliseconds)).toBe(text);
  });
});
