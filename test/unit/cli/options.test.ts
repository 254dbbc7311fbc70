import { Command } from 'commander';
import { addFilterOptions, filterFrom, metadataPair } from '../../../cli/filter-options.ts';
import { futureTime, pastTime } from '../../../cli/time-option.ts';

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
    ['--since', 'yesterday'],
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
    expect(futureTime('2026-03-01T12:30')).toBe(new Date(2026, 2, 1, 12, 30).toISOString());
    expect(futureTime('2026-03-01 12:30')).toBe(new Date(2026, 2, 1, 12, 30).toISOString());
    expect(futureTime('2026-03-01T12:30Z')).toBe('2026-03-01T12:30:00.000Z');
  });

  it.each(['', '2', 'h', '-2h', '2 h', 'March', '2026', '2026-13-01', '99999999999d'])(
    'is not %j',
    (text) => {
      expect(() => pastTime(text)).toThrow(/Expected a time such as/);
    },
  );
});
