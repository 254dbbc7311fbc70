import type { Command } from 'commander';
import { type CommandContext, printJson } from '../command-context.ts';
import { jobDetails } from '../display/job-details.ts';
import { fullId, ID_HELP } from '../job-id.ts';

export function registerStatusCommand(program: Command, context: CommandContext): void {
  program
    .command('status')
    .summary('show one job')
    .description('Shows the details of a job. Exits with 0 in every status, also when the job failed.')
    .argument('<id>', ID_HELP)
    .option('--json', 'print the JSON of the API: the job')
    .action(async (part: string, options: { json?: true }) => {
      const client = context.client();
      const job = await client.get(await fullId(client, part));
      if (options.json) printJson(context, job);
      else context.output.line(jobDetails(job, context.output));
    });
}
