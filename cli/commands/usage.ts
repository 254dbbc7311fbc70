import { type Command, Option } from 'commander';
import { numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import {
  USAGE_DIMENSIONS,
  type UsageDimension,
  type UsageReport,
  type UsageSums,
} from '../../src/usage/report.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { borderlessTable, type Column } from '../display/borderless-table.ts';
import { type Terminal, unlimited } from '../display/terminal.ts';
import { wideOption } from '../option.ts';

interface UsageOptions {
  from?: string;
  to?: string;
  by?: UsageDimension;
  output?: 'wide';
  json?: true;
}

export function registerUsageCommand(program: Command, context: CommandContext): void {
  program
    .command('usage')
    .summary('show the tokens that were used, and their cost')
    .description(
      'Shows requests, tokens and their cost: of your own jobs, or of all tenants with the key of admin.',
    )
    .option('--from <day>', 'the first day, YYYY-MM-DD in UTC; default: 29 days before the last')
    .option('--to <day>', 'the last day; default: today')
    .addOption(
      new Option('--by <what>', 'group by this; default: by day, model and tenant').choices(USAGE_DIMENSIONS),
    )
    .addOption(wideOption())
    .option('--json', 'print the JSON of the API: {from, to, currency, total, rows}')
    .addHelpText('after', EXAMPLES)
    .action(async ({ json, output: form, ...query }: UsageOptions) => {
      const report = await context.client().usage(query);
      const { output, notices } = context;
      if (json) printJson(context, report);
      else if (report.rows.length === 0) {
        notices.line(
          `Nothing was used from ${oneLine(report.from)} to ${oneLine(report.to)}. Simulated answers cost nothing and do not count.`,
        );
      } else output.line(usageTable(report, query.by, form === 'wide' ? unlimited(output) : output));
    });
}

const NAMES: Record<UsageDimension, Column> = {
  day: { title: 'DAY' },
  model: { title: 'MODEL', shortest: 10 },
  tenant: { title: 'TENANT', shortest: 10 },
};
const NUMBERS: Column[] = [
  { title: 'REQUESTS', align: 'right', leftOut: 5 },
  { title: 'INPUT', align: 'right', leftOut: 3 },
  { title: 'CACHED', align: 'right', leftOut: 2 },
  { title: 'OUTPUT', align: 'right', leftOut: 4 },
  { title: 'REASONING', align: 'right', leftOut: 1 },
  { title: 'COST', align: 'right' },
];
const SAVED: Column = { title: 'SAVED', align: 'right', leftOut: 7 };
const UNPRICED: Column = { title: 'UNPRICED', align: 'right', leftOut: 6 };
const ESTIMATED: Column = { title: 'ESTIMATED', align: 'right', leftOut: 0 };
const NO_TENANT = '(no tenant)';

/**
 * usageTable shows a report as a table. Its last line is the total; it shows what completion windows have
 * saved, estimated costs and unpriced requests if there are any.
 */
export function usageTable(
  { rows, total }: UsageReport,
  by: UsageDimension | undefined,
  terminal: Terminal,
): string {
  const dimensions = by === undefined ? USAGE_DIMENSIONS : [by];
  const hasSavings = total.saved_usd > 0;
  const hasUnpriced = total.unpriced_requests > 0;
  const hasEstimates = total.estimated_requests > 0;
  const columns = [
    ...dimensions.map((dimension) => NAMES[dimension]),
    ...NUMBERS,
    ...(hasSavings ? [SAVED] : []),
    ...(hasEstimates ? [ESTIMATED] : []),
    ...(hasUnpriced ? [UNPRICED] : []),
  ];
  const numbers = (sums: UsageSums): string[] => {
    const saved = hasSavings ? [formatUsd(sums.saved_usd)] : [];
    const estimated = hasEstimates ? [formatUsd(sums.estimated_usd)] : [];
    const unpriced = hasUnpriced ? [numberText(sums.unpriced_requests)] : [];
    return [...numbersOf(sums), ...saved, ...estimated, ...unpriced];
  };
  const lines = rows.map((row) => [
    ...dimensions.map((dimension) => oneLine(row[dimension] ?? NO_TENANT)),
    ...numbers(row),
  ]);
  const totals = [...dimensions.map((_, column) => (column === 0 ? 'total' : '')), ...numbers(total)];
  return borderlessTable(columns, [...lines, totals], terminal);
}

function numbersOf(sums: UsageSums): string[] {
  return [
    numberText(sums.requests),
    numberText(sums.input_tokens),
    numberText(sums.cached_tokens),
    numberText(sums.output_tokens),
    numberText(sums.reasoning_tokens),
    sums.cost_usd === null ? 'unknown' : formatUsd(sums.cost_usd),
  ];
}

const EXAMPLES = `
Examples:
  o3q usage --by model
  o3q usage --from 2026-03-01 --to 2026-03-31 --by tenant
  o3q usage --json | jq .total.cost_usd`;
