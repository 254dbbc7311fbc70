import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';

export function registerCancelCommand(program: Command, context: CommandContext): void {
  program
    .command('cancel')
    .summary('stop a job, and the spending')
    .description('Cancels a job that is not finished. Exits with 1 when the job is already finished.')
    .argument('<id>', 'the id of a job')
    .option('--json', 'print the JSON of the API: the job')
    .action(async (id: string, options: { json?: true }) => {
      const job = await context.client().cancel(id);
      if (options.json) printJson(context, job);
      else if (job.status === 'cancelled') context.output.line(`🚫 ${oneLine(id)} is cancelled`);
      else context.output.line(`🚫 ${oneLine(id)} is being cancelled: its worker stops it within a second`);
    });
}
