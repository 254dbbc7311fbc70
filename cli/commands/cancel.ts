import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { fullId, ID_HELP } from '../job-id.ts';

export function registerCancelCommand(program: Command, context: CommandContext): void {
  program
    .command('cancel')
    .summary('stop a job, and the spending')
    .description('Cancels a job that is not finished. Exits with 1 when the job is already finished.')
    .argument('<id>', ID_HELP)
    .option('--json', 'print the JSON of the API: the job')
    .action(async (part: string, options: { json?: true }) => {
      const client = context.client();
      const job = await client.cancel(await fullId(client, part));
      const id = oneLine(job.id);
      if (options.json) printJson(context, job);
      else if (job.status === 'cancelled') context.output.line(`🚫 ${id} is cancelled`);
      else context.output.line(`🚫 ${id} is being cancelled: its worker stops it within a second`);
    });
}
