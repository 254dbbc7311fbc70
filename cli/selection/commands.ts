import type { Command } from 'commander';
import { numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { Action, ActionKind } from '../../src/job/action.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { borderlessTable, type Column } from '../display/borderless-table.ts';
import type { Terminal } from '../display/terminal.ts';
import { UsageError } from '../exit-code.ts';
import { addFilterOptions, type FilterOptions, filterFrom } from '../filter-options.ts';
import { fullIds, ID_HELP, shortIds } from '../job-id.ts';
import { watchAction } from './action.ts';
import { confirm, requireTerminal } from './confirm.ts';
import { actOnIds, refused } from './ids.ts';
import { countsText, KINDS, questionAbout } from './kinds.ts';

interface SelectionOptions extends FilterOptions {
  yes?: true;
  dryRun?: true;
  json?: true;
}

/**
 * registerSelectionCommands adds the commands that cancel, retry or delete jobs, and the one for their
 * actions.
 */
export function registerSelectionCommands(program: Command, context: CommandContext): void {
  for (const kind of ['cancel', 'retry', 'delete'] as const) registerKind(program, context, kind);
  program
    .command('actions')
    .summary('show the long actions of cancel, retry and delete')
    .description(
      'Lists the newest actions over many jobs, or shows one until it has ended. An action goes on when the ' +
        'command that has started it ends.',
    )
    .argument('[id]', 'the id of an action, or a beginning or end of it')
    .option('--stop', 'stop the action; what it has done stays done')
    .option('--json', 'print the JSON of the API: a list of actions, or the action at its end')
    .action((part: string | undefined, options: { stop?: true; json?: true }) =>
      actions(context, part, options),
    );
}

function registerKind(program: Command, context: CommandContext, kind: ActionKind): void {
  const { summary, description } = KINDS[kind];
  addFilterOptions(
    program
      .command(kind)
      .summary(summary)
      .description(
        `${description} Takes ids, or options that select jobs: then it says how many jobs they are and what ` +
          'they have cost, asks, and shows how far it has come. Exits with 1 when it could not act on a job.',
      )
      .argument('[id...]', ID_HELP),
  )
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'only say how many jobs are selected, and what they have cost')
    .option('--json', 'print the JSON of the API: the jobs, or the action over a selection')
    .addHelpText('after', examplesOf(kind))
    .action((parts: string[], options: SelectionOptions) => select(context, kind, parts, options));
}

async function select(
  context: CommandContext,
  kind: ActionKind,
  parts: readonly string[],
  options: SelectionOptions,
): Promise<void> {
  const filter = filterFrom(options);
  const isFiltered = Object.keys(filter).length > 0;
  if (isFiltered === parts.length > 0) {
    const got = isFiltered ? 'both' : 'neither';
    throw new UsageError(`expected ids, or options that select jobs, such as --status, got ${got}`);
  }
  if (options.dryRun && !isFiltered) throw new UsageError('expected options that select jobs for --dry-run');
  const client = context.client();
  if (!isFiltered) return actOnIds(context, client, kind, await fullIds(client, parts), options);
  if (!options.yes && !options.dryRun) requireTerminal(context.input);
  const selection = await client.actions.count(kind, filter);
  if (options.dryRun && options.json) return printJson(context, selection);
  if (selection.matching === 0 && !selection.more) return context.notices.line('No jobs match.');
  const question = questionAbout(kind, selection);
  if (options.dryRun) return context.output.line(question);
  if (!options.yes && !(await confirm(context, question))) return refused(context);
  await watchAction(context, client, await client.actions.start(kind, filter), options);
}

async function actions(
  context: CommandContext,
  part: string | undefined,
  options: { stop?: true; json?: true },
): Promise<void> {
  const client = context.client();
  const newest = await client.actions.list();
  if (part === undefined) {
    if (options.stop) throw new UsageError('expected the id of an action for --stop, got none');
    if (options.json) return printJson(context, newest);
    if (newest.length > 0) return context.output.line(actionTable(newest, context.output));
    return context.notices.line('No actions yet: o3q cancel, retry and delete start one for a selection.');
  }
  const candidates = newest.filter(({ id }) => id.startsWith(part) || id.endsWith(part));
  if (candidates.length > 1) throw new UsageError(`"${part}" fits several actions; write more of the id`);
  const id = candidates[0]?.id ?? part;
  const action = options.stop ? await client.actions.stop(id) : await client.actions.get(id);
  await watchAction(context, client, action, options);
}

const COLUMNS: Column[] = [
  { title: 'STATUS' },
  { title: 'ID' },
  { title: 'ACTION' },
  { title: 'STARTED BY', shortest: 6, leftOut: 1 },
  { title: 'STARTED', leftOut: 0 },
  { title: 'JOBS', align: 'right' },
  { title: 'DONE', align: 'right' },
  { title: 'COST', align: 'right', leftOut: 2 },
  { title: 'NOT DONE', shortest: 10, leftOut: 3 },
];

/** actionTable shows actions as a table, with short ids on a terminal. */
export function actionTable(newest: readonly Action[], terminal: Terminal): string {
  const short = terminal.columns() === undefined ? new Map<string, string>() : shortIds(newest);
  const rows = newest.map((action) => [
    action.status,
    oneLine(short.get(action.id) ?? action.id),
    action.kind,
    oneLine(action.started_by ?? ''),
    oneLine(action.created_at),
    `${numberText(action.matching)}${action.more ? '+' : ''}`,
    numberText(action.done),
    formatUsd(action.cost_usd),
    countsText({ ...action.skipped, ...action.failed }),
  ]);
  return borderlessTable(COLUMNS, rows, terminal);
}

function examplesOf(kind: ActionKind): string {
  const status = { cancel: 'waiting', retry: 'failed', delete: 'completed' }[kind];
  const more = { cancel: '--metadata batch=7', retry: '--error timeout --since 2h', delete: '--until 30d' }[
    kind
  ];
  return `
Examples:
  o3q ${kind} 3f2a9c01
  o3q ${kind} --status ${status} ${more} --dry-run
  o3q ${kind} --status ${status} ${more} --yes`;
}
