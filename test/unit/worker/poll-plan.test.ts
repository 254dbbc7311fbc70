import { setMaxListeners } from 'node:events';
import { createTurns } from '../../../src/async/turns.ts';
import { createWindowedPollPlan } from '../../../worker/windows/poll-plan.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const calm = { pollAfterMs: undefined, isWoken: false, isMissing: false };

describe('the plan of lookups within a completion window', () => {
  /** The plan without jitter, from the age `ageMs` on. */
  const looksFrom = (ageMs: number, count: number): number[] => {
    const plan = createWindowedPollPlan(ageMs, () => 0.5);
    const looks = [ageMs + plan.firstMs];
    while (looks.length < count) {
      const last = looks.at(-1) ?? 0;
      looks.push(last + plan.next({ ...calm, ageMs: last }).pauseMs);
    }
    return looks.map((ms) => Math.round(ms / 1000));
  };

  it('looks after 2, 5 and 15 seconds, then every minute, and after an hour every five minutes', () => {
    expect(looksFrom(0, 6)).toEqual([2, 5, 15, 75, 135, 195]);
    expect(looksFrom(HOUR + 1000, 3)).toEqual([3601, 3901, 4201]);
  });

  it('looks at once at an old response, and goes on at its age', () => {
    expect(looksFrom(10 * MINUTE, 3)).toEqual([600, 660, 720]);
  });

  it.each([
    [400, 1000],
    [7000, 7000],
    [HOUR, 5 * MINUTE],
  ])('takes the %s ms for which the upstream asks as %s ms', (pollAfterMs, pauseMs) => {
    const plan = createWindowedPollPlan(0);
    expect(plan.next({ ...calm, ageMs: 2 * HOUR, pollAfterMs })).toEqual({ pauseMs, leastMs: pauseMs });
  });

  it.each([{ isWoken: true }, { isMissing: true }])('looks again within 15 seconds after %j', (news) => {
    const plan = createWindowedPollPlan(0);
    expect(plan.next({ ...calm, ...news, ageMs: 2 * HOUR }).pauseMs).toBeLessThanOrEqual(15_000);
  });

  it('varies each pause by up to a fifth', () => {
    const pauseAt = (random: number): number =>
      createWindowedPollPlan(0, () => random).next({ ...calm, ageMs: 2 * HOUR }).pauseMs;
    expect([pauseAt(0), pauseAt(1)]).toEqual([4 * MINUTE, 5 * MINUTE]);
  });
});

describe('2,000 responses within a window', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it.each([
    ['that were bought together', 0],
    ['that run for hours', 2 * HOUR],
  ])('%s cost fewer than ten lookups a second, and each is looked up every six minutes', async (_, age) => {
    const COUNT = 2000;
    const turns = createTurns({ uselessPerSecond: 8, moreAfterUseful: 4, atOnce: 128 });
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const lookedAt = Array.from({ length: COUNT }, (): number[] => []);
    const begin = performance.now();
    const followers = lookedAt.map(async (looks) => {
      const turn = turns.join(controller.signal);
      const plan = createWindowedPollPlan(age);
      await turn.next(plan.firstMs);
      while (!controller.signal.aborted) {
        looks.push(performance.now() - begin);
        const { pauseMs, leastMs } = plan.next({ ...calm, ageMs: age + performance.now() - begin });
        await turn.next(pauseMs, leastMs);
      }
      turn.leave();
    });
    const lastMs = 10 * MINUTE;
    await jest.advanceTimersByTimeAsync(lastMs);
    controller.abort();
    await Promise.all(followers);
    const all = lookedAt.flat();
    expect(all.length / (lastMs / 1000)).toBeLessThan(10);
    for (const looks of lookedAt) {
      const gaps = [...looks, lastMs].map((at, i) => at - (looks[i - 1] ?? 0));
      expect(Math.max(...gaps)).toBeLessThan(6 * MINUTE);
    }
  });
});
