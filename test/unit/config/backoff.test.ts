import { backoffDelayMs, weatherDelayMs } from '../../../src/config/backoff.ts';

const backoff = { baseMs: 1000, maxMs: 60_000 };

describe('the backoff between two attempts', () => {
  it.each([
    [1, 1000],
    [2, 2000],
    [3, 4000],
    [6, 32_000],
    [7, 60_000],
    [1000, 60_000],
  ])('is between 0 and the ceiling after attempt %d: %d ms', (attempt, ceilingMs) => {
    const delays = Array.from({ length: 500 }, () => backoffDelayMs(backoff, attempt, undefined));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delays)).toBeLessThanOrEqual(ceilingMs);
    expect(backoffDelayMs(backoff, attempt, undefined, () => 0)).toBe(0);
    expect(backoffDelayMs(backoff, attempt, undefined, () => 1)).toBe(ceilingMs);
    // Spread over the whole of it, so that those who failed together do not come back together.
    expect(new Set(delays.map((delay) => Math.floor((delay / ceilingMs) * 4))).size).toBeGreaterThanOrEqual(
      4,
    );
  });

  it('is exactly the time that the upstream asks for, at any length', () => {
    expect(backoffDelayMs(backoff, 1, 90_000)).toBe(90_000);
    expect(backoffDelayMs(backoff, 9, 0)).toBe(0);
    expect(backoffDelayMs(backoff, 1, 20.2)).toBe(21);
  });
});

describe('the wait after a failure that may be an outage', () => {
  it('lets five attempts reach over ten minutes', () => {
    const waits = [1, 2, 3, 4].map((attempt) => weatherDelayMs(backoff, attempt, undefined));
    expect(waits[0]).toBeLessThanOrEqual(1000);
    expect(waits.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(600_000);
  });

  it('is lengthened by Retry-After, and never shortened', () => {
    expect(weatherDelayMs(backoff, 1, 90_000)).toBe(90_000);
    expect(weatherDelayMs(backoff, 3, 0)).toBeGreaterThan(60_000);
  });
});
