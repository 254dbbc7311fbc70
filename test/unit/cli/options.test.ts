import { Command } from 'commander';
import { addFilterOptions, filterFrom, metadataPair } from '../../../cli/filter-options.ts';
import { futureTime, localTime, pastFlaw, pastTime, timeIn } from '../../../cli/time-option.ts';

describe('the options that select jobs', () => {
  const parsed = (...args: string[]) => {
    const command = addFilterOptions(new Command())
      .exitOverride()
      .configureOutput({ writeErr: () => {} });
    return filterFrom(command.parse(args, { from: 'user' }).opts());
  };

  it('make the filter of the API', () => {
    expect(
      parsed(
        ...['--status', 'failed', '-m', 'o3', '--tenant', 'alice', '--error', 'timeout', '--query', 'index'],
        ...['--metadata', 'customer=4711', '--metadata', 'note=a=b', '--since', '2026-03-01T00:00:00Z'],
        ...['--until', '2026-03-02T01:00:00+01:00'],
      ),
    ).toEqual({
      status: 'failed',
      model: 'o3',
      tenant: 'alice',
      error: 'timeout',
      metadata: { customer: '4711', note: 'a=b' },
      since: '2026-03-01T00:00:00.000Z',
      until: '2026-03-02T00:00:00.000Z',
      q: 'index',
    });
    expect(parsed()).toEqual({});
  });

  it.each([
    ['--status', 'lost'],
    ['--metadata', 'customer'],
    ['--metadata', '=1'],
    ['--since', 'some day'],
  ])('refuse %s %s', (...args) => {
    expect(() => parsed(...args)).toThrow(/invalid/);
  });

  it('keep an empty value of metadata', () => {
    expect(metadataPair('a=')).toEqual({ a: '' });
  });
});

describe('a time', () => {
  it.each(['90s', '30m', '2h', '1.5d'])('may be %s from now, before or after', (text) => {
    const ms = { '90s': 90_000, '30m': 1_800_000, '2h': 7_200_000, '1.5d': 129_600_000 }[text] ?? 0;
    const before = Date.now();
    const [past, future] = [Date.parse(pastTime(text)), Date.parse(futureTime(text))];
    const took = Date.now() - before;
    expect(past - (before - ms)).toBeGreaterThanOrEqual(0);
    expect(past - (before - ms)).toBeLessThanOrEqual(took);
    expect(future - (before + ms)).toBeGreaterThanOrEqual(0);
    expect(future - (before + ms)).toBeLessThanOrEqual(took);
  });

  it('is local without a zone, also a day', () => {
    expect(pastTime('2026-03-01')).toBe(new Date(2026, 2, 1).toISOString());
    expect(futureTime('2099-03-01T12:30')).toBe(new Date(2099, 2, 1, 12, 30).toISOString());
    expect(futureTime('2099-03-01 12:30')).toBe(new Date(2099, 2, 1, 12, 30).toISOString());
    expect(futureTime('2099-03-01T12:30Z')).toBe('2099-03-01T12:30:00.000Z');
  });

  // A Sunday.
  const now = new Date(2026, 10, 29, 16, 40);
  it.each<[string, ...date: [month: number, day: number, hour?: number, minute?: number]]>([
    ['8am', 10, 30, 8],
    ['20:00', 10, 29, 20],
    ['noon', 10, 30, 12],
    ['midnight', 10, 30],
    ['tomorrow', 10, 30],
    ['tomorrow 8:00', 10, 30, 8],
    ['tomorrow morning', 10, 30, 6],
    ['this evening', 10, 29, 20],
    ['in 6h', 10, 29, 22, 40],
    ['2 h', 10, 29, 18, 40],
    ['in 2 days', 11, 1, 16, 40],
    ['friday', 11, 4],
    ['friday 17:00', 11, 4, 17],
    ['sunday 18:00', 10, 29, 18],
    ['sunday 10:00', 11, 6, 10],
    ['Dec 3 9am', 11, 3, 9],
  ])('may be %j, which is the next such time', (text, month, day, hour = 0, minute = 0) => {
    expect(timeIn(text, 'future', now)).toEqual(new Date(2026, month, day, hour, minute));
  });

  it.each<[string, ...date: [month: number, day: number, hour?: number, minute?: number]]>([
    ['8am', 10, 29, 8],
    ['20:00', 10, 28, 20],
    ['yesterday 8:00', 10, 28, 8],
    ['today', 10, 29],
    ['monday', 10, 23],
    ['friday 17:00', 10, 27, 17],
    ['last friday', 10, 27],
    ['2 days ago', 10, 27, 16, 40],
    ['nov 5', 10, 5],
  ])('may be %j, which is the last such time', (text, month, day, hour = 0, minute = 0) => {
    expect(timeIn(text, 'past', now)).toEqual(new Date(2026, month, day, hour, minute));
  });

  it('may have a zone', () => {
    expect(timeIn('2026-12-01 8am PST', 'future', now).toISOString()).toBe('2026-12-01T16:00:00.000Z');
    const next = timeIn('8am JST', 'future', now);
    expect(next.toISOString()).toMatch(/T23:00:00\.000Z$/);
    expect(next.getTime() - now.getTime()).toBeGreaterThan(0);
  });

  it.each(['yesterday', 'today 8:00', 'last friday', '2 days ago', '2020-01-01', '2026-11-29T16:40'])(
    'is refused when it was expected in the future and is %j',
    (text) => {
      expect(pastFlaw(timeIn(text, 'future', now), text, now)).toMatch(
        /^Expected a time in the future, got ".+", which was \d{4}-\d\d-\d\d \d\d:\d\d \S+ \(.+ ago\)\.$/,
      );
    },
  );

  it('is said in the words of this machine', () => {
    expect(localTime(now)).toMatch(/^2026-11-29 16:40 [A-Z]+([+-][\d:]+)?$/);
  });

  it.each([
    ...['', '2', 'h', '-2h', 'March', '2026', '2026-13-01', '99999999999d', 'tomorrow or so', '10/12'],
    ...['2027-02-30', '2027-02-30T08:00'],
    ...['10.12.2026', '8am-9am', '8am or 9am', 'this week', 'at once'],
  ])('is not %j', (text) => {
    expect(() => pastTime(text)).toThrow(/Expected a time such as/);
  });
});
