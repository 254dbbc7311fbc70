import { daysUntil, isPast, shutdownTime } from '../../../src/models/catalog.ts';
import {
  countOutliving,
  endsOf,
  isNearOrPast,
  isWorthNotice,
} from '../../../worker/maintenance/model-shutdown.ts';

const DATE = '2026-12-11';
const at = (time: string): number => Date.parse(`${time}Z`);

describe('the day on which a model is shut down', () => {
  it.each([
    ['2026-11-23T13:00:00', 18, false],
    ['2026-12-10T23:59:59', 1, false],
    ['2026-12-11T00:00:00', 0, false],
    ['2026-12-11T23:59:59', 0, false],
    ['2026-12-12T00:00:00', -1, true],
  ])('seen from %s: %i days left, over: %s', (time, daysLeft, over) => {
    expect([daysUntil(DATE, at(time)), isPast(DATE, at(time))]).toEqual([daysLeft, over]);
  });
});

describe('announced shutdowns', () => {
  const config = { upstream: 'o3', fallbacks: ['gpt-5', 'gpt-6'] };
  const dates: Record<string, string> = { o3: DATE, 'gpt-5': '2027-06-01' };
  const ends = (time: string) => endsOf(config, (name) => dates[name], at(time));

  it('each shutdown names the model that takes over, in the order of the configuration', () => {
    expect(ends('2026-12-01T00:00:00')).toEqual([
      { upstreamModel: 'o3', date: DATE, daysLeft: 10, isPast: false, successor: 'gpt-5' },
      { upstreamModel: 'gpt-5', date: '2027-06-01', daysLeft: 182, isPast: false, successor: 'gpt-6' },
    ]);
  });

  it.each([
    ['2026-11-10T00:00:00', []],
    ['2026-11-11T00:00:00', ['o3']],
    ['2026-12-11T12:00:00', ['o3']],
    // A fallback has taken over, as configured.
    ['2026-12-12T00:00:00', []],
  ])('the log warns from 30 days before: at %s of %j', (time, names) => {
    expect(
      ends(time)
        .filter(isWorthNotice)
        .map(({ upstreamModel }) => upstreamModel),
    ).toEqual(names);
  });

  it('the start of a worker also warns of a shutdown that is over', () => {
    expect(ends('2026-11-10T00:00:00').filter(isNearOrPast)).toEqual([]);
    expect(ends('2026-12-12T00:00:00').filter(isNearOrPast)).toMatchObject([
      { upstreamModel: 'o3', isPast: true, successor: 'gpt-5' },
    ]);
  });

  it('the log goes on warning when nothing takes over', () => {
    const alone = endsOf({ upstream: 'o3', fallbacks: [] }, () => DATE, at('2027-01-01T00:00:00'));
    expect(alone.filter(isWorthNotice)).toMatchObject([{ successor: undefined, isPast: true }]);
  });
});

describe('the number of jobs that outlive their model', () => {
  const end = shutdownTime(DATE);
  const secondsBefore = (seconds: number): number => end - seconds * 1000;
  const motion = { reason: '', basis: '', startsPerSecond: 2, durationMs: 10_000, notBefore: 0 };

  it.each([
    // 41 jobs start in the 20 s in which a job can start and be answered.
    ['starts until the end', 100, motion, 30, 59],
    ['enough time', 40, motion, 30, 0],
    ['no time even for one answer', 100, motion, 9, 100],
    ['an unknown speed', 100, { ...motion, startsPerSecond: undefined }, 30, 0],
    ['a queue that stands still for half of it', 100, { ...motion, notBefore: secondsBefore(20) }, 30, 79],
  ])('with %s, of %i jobs', (_, waiting, moves, secondsLeft, expected) => {
    expect(countOutliving(waiting, moves, end, secondsBefore(secondsLeft))).toBe(expected);
  });
});
