import { type Command, InvalidArgumentError, Option } from 'commander';
import { JOB_STATUSES, type JobStatus } from '../src/job/job.ts';
import type { JobFilter } from '../src/job/job-queue.ts';
import { PAST_TIME_HELP, pastTime } from './time-option.ts';

/** FilterOptions are the options that select jobs, as commander hands them over. */
export interface FilterOptions {
  status?: JobStatus;
  model?: string;
  tenant?: string;
  error?: string;
  metadata?: Record<string, string>;
  since?: string;
  until?: string;
  query?: string;
}

/** addFilterOptions adds the options that select jobs to a command. */
export function addFilterOptions(command: Command): Command {
  return command
    .addOption(new Option('-s, --status <status>', 'only jobs in this status').choices(JOB_STATUSES))
    .option('-m, --model <model>', 'only jobs of this model')
    .option('-t, --tenant <tenant>', 'only jobs of this tenant; another than yours needs the key of admin')
    .option('-e, --error <code>', 'only jobs that failed with this code, such as timeout')
    .option(
      '--metadata <key=value>',
      'only jobs with this pair of metadata; may be given again',
      metadataPair,
    )
    .option('--since <time>', `only jobs created then or later: ${PAST_TIME_HELP}`, pastTime)
    .option('--until <time>', 'only jobs created before this time', pastTime)
    .option('-q, --query <text>', 'only jobs whose question contains this text');
}

/** filterFrom returns the filter that options describe; without options it has no fields. */
export function filterFrom(options: FilterOptions): JobFilter {
  const { status, model, tenant, error, metadata, since, until, query: q } = options;
  const fields = { status, model, tenant, error, metadata, since, until, q };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** metadataPair parses `--metadata K=V` and adds it to the pairs before it. */
export function metadataPair(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError(`Expected KEY=VALUE, got "${text}".`);
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}
