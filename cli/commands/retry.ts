import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { statusText } from '../display/job-table.ts';
import { nextCommands } from '../display/outcome.ts';
import { fullId, ID_HELP, idFor } from '../job-id.ts';

export function registerRetryCommand(program: Command, context: CommandContext): void {
  program
    .command('retry')
    .summary('run a failed or cancelled job again')
    .description('Runs a failed or cancelled job again from its first attempt, which buys a new response.')
    .argument('<id>', ID_HELP)
    .option('--json', 'print the JSON of the API: the job')
    .action(async (part: string, options: { json?: true }) => {
      const client = context.client();
      const job = await client.retry(await fullId(client, part));
      const { output } = context;
      if (options.json) return printJson(context, job);
      output.line(`${statusText(job)}  ${oneLine(job.id)}`);
      if (output.isTerminal) {
        output.line(
          nextCommands(output, [[`o3q result ${idFor(output, job.id)} --wait`, 'waits for its answer']]),
        );
      }
    });
}
