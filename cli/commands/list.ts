import type { Command } from 'commander';
import type { O3Client } from '../../src/client/o3-client.ts';
import type { JobQuery } from '../../src/job/job-queue.ts';
import type { JobPage } from '../../src/job/view.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { jobTable } from '../display/job-table.ts';
import { unlimited } from '../display/terminal.ts';
import { addFilterOptions, type FilterOptions, filterFrom } from '../filter-options.ts';
import { positiveNumber, wideOption } from '../option.ts';

const LARGEST_PAGE = 100;

interface ListOptions extends FilterOptions {
  limit: number;
  cursor?: string;
  output?: 'wide';
  json?: true;
}

export function registerListCommand(program: Command, context: CommandContext): void {
  addFilterOptions(
    program.command('list').summary('list jobs, newest first').description('Lists jobs, newest first.'),
  )
    .option('-n, --limit <n>', 'the most jobs to list', positiveNumber, 20)
    .option('--cursor <cursor>', 'continue an earlier list: the next_cursor of its --json')
    .addOption(wideOption())
    .option('--json', 'print the JSON of the API: {jobs, next_cursor}')
    .addHelpText('after', EXAMPLES)
    .action((options: ListOptions) => list(context, options));
}

async function list(context: CommandContext, options: ListOptions): Promise<void> {
  const { limit, cursor } = options;
  const page = await firstJobs(context.client(), { ...filterFrom(options), cursor }, limit);
  const { output, notices } = context;
  if (options.json) printJson(context, page);
  else if (page.jobs.length > 0)
    output.line(jobTable(page.jobs, options.output === 'wide' ? unlimited(output) : output));
  else notices.line(emptyText(options));
  if (page.next_cursor !== null && notices.isTerminal && !options.json) {
    notices.line(notices.paint('dim', `There are more: --limit ${limit * 2} shows twice as many`));
  }
}

/** firstJobs reads pages until it has enough jobs: a page may hold fewer jobs than its limit. */
async function firstJobs(client: O3Client, query: JobQuery, limit: number): Promise<JobPage> {
  const jobs: JobPage['jobs'] = [];
  let cursor = query.cursor;
  for (;;) {
    const page = await client.list({ ...query, cursor, limit: Math.min(LARGEST_PAGE, limit - jobs.length) });
    jobs.push(...page.jobs);
    if (page.next_cursor === null || jobs.length >= limit) return { jobs, next_cursor: page.next_cursor };
    cursor = page.next_cursor;
  }
}

function emptyText(options: ListOptions): string {
  const isFiltered = options.cursor !== undefined || Object.keys(filterFrom(options)).length > 0;
  return isFiltered ? 'No jobs match.' : 'No jobs yet. Enqueue one: o3q ask "Why is the sky blue?"';
}

const EXAMPLES = `
Examples:
  o3q list --status failed --error timeout --since 2h
  o3q list --metadata customer=4711 -o wide
  o3q list --query sky --limit 100
  o3q list --status waiting --limit 1000 --json | jq -r '.jobs[].id'`;
