import type { Command } from 'commander';
import type { AuditEntry, AuditPage, AuditQuery } from '../../src/audit/audit.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { borderlessTable, type Column } from '../display/borderless-table.ts';
import { type Terminal, unlimited } from '../display/terminal.ts';
import { shortIds } from '../job-id.ts';
import { positiveNumber, wideOption } from '../option.ts';
import { PAST_TIME_HELP, pastTime } from '../time-option.ts';

const LARGEST_PAGE = 100;

interface AuditOptions {
  since?: string;
  limit: number;
  cursor?: string;
  output?: 'wide';
  json?: true;
}

export function registerAuditCommand(program: Command, context: CommandContext): void {
  program
    .command('audit')
    .summary('show who has done what')
    .description(
      'Shows who has cancelled, retried, deleted, resumed or logged in, newest first: your own acts and those on ' +
        'your jobs, or all with the key of admin.',
    )
    .option('--since <time>', `only acts then or later: ${PAST_TIME_HELP}`, pastTime)
    .option('-n, --limit <n>', 'the most acts to show', positiveNumber, 20)
    .option('--cursor <cursor>', 'continue an earlier list: the next_cursor of its --json')
    .addOption(wideOption())
    .option('--json', 'print the JSON of the API: {entries, next_cursor}')
    .addHelpText('after', EXAMPLES)
    .action(async ({ json, output: form, limit, ...query }: AuditOptions) => {
      const page = await firstEntries(context.client(), query, limit);
      const { output, notices } = context;
      if (json) return printJson(context, page);
      if (page.entries.length > 0)
        output.line(auditTable(page.entries, form === 'wide' ? unlimited(output) : output));
      else notices.line('No acts: cancels, retries, deletions, resumes and logins are written down.');
      if (page.next_cursor !== null && notices.isTerminal)
        notices.line(notices.paint('dim', `There are more: --limit ${limit * 2} shows twice as many`));
    });
}

/** firstEntries reads pages until it has enough entries. */
async function firstEntries(client: O3Client, query: AuditQuery, limit: number): Promise<AuditPage> {
  const entries: AuditEntry[] = [];
  let { cursor } = query;
  for (;;) {
    const rest = Math.min(LARGEST_PAGE, limit - entries.length);
    const page = await client.audit({ ...query, cursor, limit: rest });
    entries.push(...page.entries);
    if (page.next_cursor === null || entries.length >= limit)
      return { entries, next_cursor: page.next_cursor };
    cursor = page.next_cursor;
  }
}

const COLUMNS: Column[] = [
  { title: 'TIME' },
  { title: 'WHO', shortest: 8 },
  { title: 'WHAT' },
  { title: 'ON', shortest: 8 },
  { title: 'OUTCOME', shortest: 10 },
];
/** NO_KEY is the actor of an instance without keys. */
const NO_KEY = '(no key)';

/** auditTable shows acts as a table, with short ids of jobs and actions on a terminal. */
export function auditTable(entries: readonly AuditEntry[], terminal: Terminal): string {
  const ids = entries.filter(({ what }) => /^(job|action)\./.test(what)).map(({ subject: id }) => ({ id }));
  const short = terminal.columns() === undefined ? new Map<string, string>() : shortIds(ids);
  const rows = entries.map(({ at, by, what, subject, outcome }) => [
    oneLine(at).replace(/\.\d+Z$/, 'Z'),
    oneLine(by ?? NO_KEY),
    oneLine(what),
    oneLine(short.get(subject) ?? subject),
    oneLine(outcome),
  ]);
  return borderlessTable(COLUMNS, rows, terminal);
}

const EXAMPLES = `
Examples:
  o3q audit --since 2h
  o3q audit --limit 1000 --json | jq '.entries[] | select(.what == "job.delete")'`;
