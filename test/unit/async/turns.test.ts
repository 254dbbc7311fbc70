import { setMaxListeners } from 'node:events';
import { createTurns, type TurnTaker } from '../../../src/async/turns.ts';

const LIMITS = { uselessPerSecond: 200, moreAfterUseful: 4, atOnce: 50 };

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

function openTurns(limits = LIMITS) {
  const turns = createTurns(limits);
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  /** When each turn began, in milliseconds from the start. */
  const begun: number[] = [];
  const startedAt = Date.now();
  let underWay = 0;
  let mostUnderWay = 0;
  /** Adds a member whose turns last 10 ms. `isOver` says whether the member's work was useful. */
  const add = (pauseMs: number, isOver: () => boolean, leastMs = 0): { member: TurnTaker; own: number[] } => {
    const member = turns.join(controller.signal);
    const own: number[] = [];
    const run = async (): Promise<void> => {
      for (;;) {
        await member.next(pauseMs, leastMs);
        if (controller.signal.aborted) return member.leave();
        begun.push(Date.now() - startedAt);
        own.push(Date.now() - startedAt);
        underWay += 1;
        mostUnderWay = Math.max(mostUnderWay, underWay);
        await new Promise((resolve) => setTimeout(resolve, 10));
        underWay -= 1;
        if (!isOver()) continue;
        member.succeed();
        return member.leave();
      }
    };
    void run();
    return { member, own };
  };
  const between = (from: number, to: number): number => begun.filter((at) => at >= from && at < to).length;
  return { add, begun, between, stop: () => controller.abort(), most: () => mostUnderWay };
}

const pass = (milliseconds: number): Promise<void> => jest.advanceTimersByTimeAsync(milliseconds);

describe('turns', () => {
  it('begin after the pause when there are few members', async () => {
    const { add, stop } = openTurns();
    const { own } = add(1000, () => false);
    await pass(4200);
    expect(own).toHaveLength(4);
    for (const [i, at] of own.entries()) expect(Math.abs(at - (i + 1) * 1000)).toBeLessThan(150);
    stop();
    await pass(0);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('are 200 a second, evenly spread, when thousands of members want more', async () => {
    const { add, between, stop } = openTurns();
    const members = Array.from({ length: 3000 }, () => add(1000, () => false));
    await pass(31_000);
    for (let second = 2; second < 31; second += 1) {
      const count = between(second * 1000, (second + 1) * 1000);
      expect(count).toBeGreaterThanOrEqual(190);
      expect(count).toBeLessThanOrEqual(210);
      expect(between(second * 1000, second * 1000 + 100)).toBeLessThanOrEqual(30);
    }
    const counts = members.map(({ own }) => own.length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    stop();
    await pass(10);
  });

  it('make short and long pauses longer by the same factor', async () => {
    const { add, stop } = openTurns();
    for (let i = 0; i < 2000; i += 1) add(5000, () => false);
    await pass(20_000);
    const { own } = add(500, () => false);
    await pass(20_000);
    const pauses = own.slice(1).map((at, i) => at - (own[i] ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThan(700);
    expect(Math.max(...pauses)).toBeLessThan(1500);
    stop();
    await pass(10);
  });

  it('come as fast as the limit at once allows when the work of all becomes useful together', async () => {
    const { add, begun, between, stop, most } = openTurns();
    let isOver = false;
    for (let i = 0; i < 3000; i += 1) add(1000, () => isOver);
    await pass(10_000);
    isOver = true;
    const before = begun.length;
    await pass(2000);
    // 50 at once, 10 ms each: 5,000 a second, after a start at 200 a second.
    expect(begun.length - before).toBeGreaterThanOrEqual(2990);
    expect(most()).toBeLessThanOrEqual(60);
    expect(between(0, 10_000)).toBeLessThan(2100);
    stop();
    await pass(10);
  });

  it('come before the pause is over, but never before the earliest time, when the turns of others are useful', async () => {
    const { add, stop } = openTurns();
    let isOver = false;
    const members = Array.from({ length: 100 }, () => add(5000, () => isOver));
    const patient = add(5000, () => isOver, 4500);
    add(250, () => isOver);
    await pass(7000);
    expect(new Set([patient, ...members].map(({ own }) => own.length))).toEqual(new Set([1]));
    isOver = true;
    await pass(1000);
    expect(new Set(members.map(({ own }) => own.length))).toEqual(new Set([2]));
    expect(patient.own).toHaveLength(1);
    await pass(3000);
    expect(patient.own).toHaveLength(2);
    stop();
    await pass(10);
  });

  it('are at most five more for each useful one', async () => {
    const { add, between, stop } = openTurns();
    let useful = 0;
    for (let i = 0; i < 3000; i += 1) {
      add(1000, () => {
        if (i % 50 !== 0 || useful > 40) return false;
        useful += 1;
        return true;
      });
    }
    await pass(15_000);
    expect(useful).toBeGreaterThan(30);
    expect(between(0, 15_000)).toBeLessThanOrEqual(50 + 15 * 200 + useful * 5);
    stop();
    await pass(10);
  });

  it('begin at once for a member that is woken, before thousands that wait', async () => {
    const { add, stop } = openTurns();
    for (let i = 0; i < 3000; i += 1) add(1000, () => false);
    const { member, own } = add(60_000, () => true);
    await pass(5000);
    member.wake();
    await pass(1);
    expect(own).toHaveLength(1);
    stop();
    await pass(10);
  });

  it('do not multiply when all members are woken', async () => {
    const { add, between, begun, stop } = openTurns();
    const members = Array.from({ length: 1000 }, () => add(60_000, () => true));
    for (let i = 0; i < 2000; i += 1) add(1000, () => false);
    await pass(5000);
    const before = begun.length;
    for (const { member } of members) member.wake();
    await pass(1000);
    expect(members.every(({ own }) => own.length === 1)).toBe(true);
    expect(begun.length - before).toBeLessThanOrEqual(1000 + 250);
    expect(between(6000, 7000)).toBeLessThanOrEqual(210);
    stop();
    await pass(10);
  });
});
