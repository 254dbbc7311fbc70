import { modelTable } from '../../../cli/commands/models.ts';
import { usageTable } from '../../../cli/commands/usage.ts';
import { jobTable } from '../../../cli/display/job-table.ts';
import { createTerminal, type Terminal } from '../../../cli/display/terminal.ts';
import { cellsOf } from '../../../cli/display/wrapped-text.ts';
import { shortIds } from '../../../cli/job-id.ts';
import type { Totals } from '../../../cli/live/job-watch.ts';
import { watchOverview } from '../../../cli/live/watch-overview.ts';
import type { ModelView } from '../../../src/models/view.ts';
import type { UsageReport } from '../../../src/usage/report.ts';
import { active, completed, failed, waiting } from '../../support/http/job-views.ts';

function terminalOf(columns: number | undefined): Terminal {
  return {
    ...createTerminal(process.stdout),
    isTerminal: columns !== undefined,
    columns: () => columns,
    paint: (_, text) => text,
  };
}

const long = { model: 'gpt-6.1-sol-2026', question: 'Why is the sky blue 大きさ 🚀? '.repeat(9) };
const jobs = Array.from({ length: 8 }, () => [
  { ...active, ...long },
  { ...waiting, ...long, position: 1234, eta_ms: 5_000_000, waiting_for: 'tokens of its model '.repeat(6) },
  { ...completed, ...long, cost_usd: 1234.567891, duration_ms: 184_000 },
  { ...failed, ...long, tenant: 'the-research-department' },
])
  .flat()
  .map((job, number) => ({
    ...job,
    id: `job_0123456789abcdef0123456789${(number * 7919 + 100_000).toString(16)}`,
  }));

const sums = {
  requests: 1_234_567,
  input_tokens: 123_456_789,
  cached_tokens: 23_456_789,
  output_tokens: 987_654_321,
  reasoning_tokens: 887_654_321,
  ...{ cost_usd: 12_345.678912, list_usd: 20_576.13152, saved_usd: 8230.452608 },
  unpriced_requests: 12_345,
  estimated_requests: 12_345,
  estimated_usd: 1234.5,
};
const usage: UsageReport = {
  from: '2026-11-01',
  to: '2026-11-29',
  currency: 'usd',
  total: sums,
  rows: [{ ...sums, day: '2026-11-29', model: 'gpt-6.1-sol-2026-11-20', tenant: 'the-research-department' }],
};
const model: ModelView = {
  model: 'gpt-6.1-sol-2026-11-20',
  upstream: 'gpt-6.1-sol-2026-11-20',
  fallbacks: [],
  upstream_model: 'gpt-6.1-sol-2026-11-20',
  limits: {
    requests_per_minute: 10_000,
    tokens_per_minute: 30_000_000,
    max_in_flight: 1000,
    max_in_flight_windowed: 2000,
  },
  told_limits: { requests_per_minute: null, tokens_per_minute: null },
  board: { paused: true, concurrency: 1000, rate_limit: { max: 1000, duration_ms: 60_000 } },
  state: {
    status: 'rate_limited',
    until: null,
    reason: 'all workers wait for the upstream '.repeat(5),
    workers: 1000,
    free_slots: 1_999_000,
    waiting: 123_456,
    in_flight: 1000,
    in_flight_windowed: 2000,
    no_windows_until: '2026-03-01T12:01:00.000Z',
    requests_last_minute: 9999,
    tokens_last_minute: 29_999_999,
    shutdown_date: '2027-01-01',
  },
};

const totals: Totals = { models: [model], today: sums, hasMore: true };

const tables: [string, (terminal: Terminal) => string][] = [
  ['list', (terminal) => jobTable(jobs, terminal)],
  ['usage', (terminal) => usageTable(usage, undefined, terminal)],
  ['models', (terminal) => modelTable([model], terminal)],
  ['watch', (terminal) => watchOverview(jobs, totals, terminal)],
];

/** The numbers and ids of a text: words with a digit. */
const numbersOf = (text: string) => text.match(/\S*\d\S*/g) ?? [];
/** Short ids, which the tables of jobs show instead of whole ones. */
const ends = new Set(shortIds(jobs).values());

describe.each(tables)('o3q %s', (_, tableOn) => {
  it.each([60, 80, 100, 140])('fits a terminal of %d columns, and breaks no number', (columns) => {
    const text = tableOn(terminalOf(columns));
    for (const line of text.split('\n')) expect(cellsOf(line)).toBeLessThanOrEqual(columns);
    const whole = new Set(numbersOf(tableOn(terminalOf(undefined))));
    const names = /^gpt-6\S*…$/;
    expect(
      numbersOf(text).filter(
        (word) => !whole.has(word) && !ends.has(word) && !names.test(word) && !/more;/.test(word),
      ),
    ).toEqual(text.includes(' more; ') ? [expect.stringMatching(/^\d+$/)] : []);
  });

  it('shows every column on a wide terminal', () => {
    const head = (columns: number | undefined) =>
      tableOn(terminalOf(columns))
        .split('\n')[0]
        ?.split(/\s{2,}/);
    expect(head(400)).toEqual(head(undefined));
  });
});

it.each([40, 60, 80, 140])(
  'a table of jobs on %d columns always has statuses, ids and questions',
  (columns) => {
    const [head, ...lines] = jobTable(jobs, terminalOf(columns)).split('\n');
    expect(head).toMatch(/^STATUS +ID .*QUESTION$/);
    for (const [i, line] of lines.entries()) {
      expect(cellsOf(line)).toBeLessThanOrEqual(columns);
      expect(line).toMatch(shortIds(jobs).get(jobs[i]?.id ?? '') ?? 'no job');
    }
  },
);

it('o3q watch fits the rows of a terminal of 80 columns', () => {
  const terminal = terminalOf(80);
  const rows = terminal.stream.rows ?? 24;
  expect(watchOverview(jobs, totals, terminal).split('\n').length).toBeLessThan(rows);
});
