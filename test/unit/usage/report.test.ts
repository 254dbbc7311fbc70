import { usageTable } from '../../../cli/commands/usage.ts';
import { createTerminal } from '../../../cli/display/terminal.ts';
import { reportFrom, type UsageEntry, usageRange } from '../../../src/usage/report.ts';
import { formatUsd } from '../../../src/usage/usd.ts';

const NOW = Date.parse('2026-03-01T23:59:59.999Z');

describe('the range of a report', () => {
  it('the default range is 30 days up to today, or up to the last day', () => {
    expect(usageRange({}, NOW)).toMatchObject({ from: '2026-01-31', to: '2026-03-01' });
    expect(usageRange({}, NOW).days).toHaveLength(30);
    expect(usageRange({ to: '2024-03-01' }, NOW).from).toBe('2024-02-01');
    expect(usageRange({ from: '2026-02-27' }, NOW).days).toEqual(['2026-02-27', '2026-02-28', '2026-03-01']);
  });

  it('a range may be one day, and at most the 400 days that are kept', () => {
    expect(usageRange({ from: '2026-03-01' }, NOW).days).toEqual(['2026-03-01']);
    expect(usageRange({ from: '2025-01-26', to: '2026-03-01' }, NOW).days).toHaveLength(400);
  });

  it.each([
    [{ from: '2025-01-25' }, 'from: expected one of the 400 days up to today, 2026-03-01, got "2025-01-25"'],
    [{ from: '2026-03-02' }, 'from: expected a day that is not after today, 2026-03-01, got "2026-03-02"'],
    [{ to: '2026-02-30' }, 'to: expected a day, YYYY-MM-DD, got "2026-02-30"'],
    [{ from: 'yesterday', to: '' }, 'from: expected a day, YYYY-MM-DD, got "yesterday"; to: expected'],
  ])('the range %j is refused', (query, message) => {
    expect(() => usageRange(query, NOW)).toThrow(message);
  });
});

const none = {
  ...{ requests: 0, input: 0, cached: 0, output: 0, reasoning: 0, nanoUsd: 0, unpriced: 0 },
  ...{ savedNano: 0, estimated: 0, estimatedNano: 0 },
};
const entries: UsageEntry[] = [
  { ...none, day: '2026-03-01', model: 'o3', tenant: 'bob', requests: 2, output: 7, nanoUsd: 100_000_001 },
  {
    ...none,
    day: '2026-03-01',
    model: 'o3',
    tenant: 'alice',
    requests: 2,
    unpriced: 1,
    nanoUsd: 200_000_002,
    estimated: 1,
    estimatedNano: 50_000_000,
    savedNano: 40_000_000,
  },
  { ...none, day: '2026-02-28', model: 'o3', tenant: null, requests: 1, unpriced: 1 },
  { ...none, day: '2026-02-28', model: 'gpt-5', tenant: 'bob', requests: 1, nanoUsd: 0 },
];
const range = { from: '2026-02-28', to: '2026-03-01' };

describe('a report', () => {
  it('a report has a row for each day, model and tenant, in this order', () => {
    const { rows } = reportFrom(range, entries, undefined);
    expect(rows.map(({ day, model, tenant }) => [day, model, tenant])).toEqual([
      ['2026-02-28', 'gpt-5', 'bob'],
      ['2026-02-28', 'o3', null],
      ['2026-03-01', 'o3', 'alice'],
      ['2026-03-01', 'o3', 'bob'],
    ]);
  });

  it('a sum is over responses with a price, and null without any', () => {
    const { rows, total } = reportFrom(range, entries, 'day');
    expect(rows).toMatchObject([
      { day: '2026-02-28', requests: 2, cost_usd: 0, unpriced_requests: 1 },
      { day: '2026-03-01', requests: 4, cost_usd: 0.300000003, unpriced_requests: 1 },
    ]);
    expect(rows[0]).not.toHaveProperty('model');
    expect(total).toMatchObject({ requests: 6, output_tokens: 7, cost_usd: 0.300000003 });
    expect(total).toMatchObject({ list_usd: 0.340000003, saved_usd: 0.04 });
    expect(reportFrom(range, entries, 'tenant').rows[0]).toMatchObject({
      ...{ tenant: null, cost_usd: null, list_usd: null, saved_usd: 0 },
    });
  });

  it('a report without entries costs nothing', () => {
    expect(reportFrom(range, [], undefined)).toMatchObject({ rows: [], total: { requests: 0, cost_usd: 0 } });
  });

  it('a report is a table in a terminal', () => {
    const terminal = { ...createTerminal(process.stdout), paint: (_: unknown, text: string) => text };
    expect(usageTable(reportFrom(range, entries, 'tenant'), 'tenant', terminal).split('\n')).toEqual([
      'TENANT       REQUESTS  INPUT  CACHED  OUTPUT  REASONING     COST  SAVED  ESTIMATED  UNPRICED',
      '(no tenant)         1      0       0       0          0  unknown  $0.00      $0.00         1',
      'alice               2      0       0       0          0    $0.20  $0.04      $0.05         1',
      'bob                 3      0       0       7          0    $0.10  $0.00      $0.00         0',
      'total               6      0       0       7          0    $0.30  $0.04      $0.05         2',
    ]);
  });
});

test.each([
  [0, '$0.00'],
  [0.000000001, '$0.000000001'],
  [0.0123456, '$0.01235'],
  [0.5, '$0.50'],
  [12.3456, '$12.35'],
  [1_234_567.891, '$1,234,567.89'],
])('%d dollars are written %s', (usd, text) => {
  expect(formatUsd(usd)).toBe(text);
});
