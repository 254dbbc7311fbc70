import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { consoleUrl } from '../console-page.ts';
import { fullId, ID_HELP } from '../job-id.ts';

export function registerOpenCommand(program: Command, context: CommandContext): void {
  program
    .command('open')
    .summary('open the console in a browser')
    .description(
      'Opens the console, or the page of a job, in a browser, and prints its address. In a pipe, and where no ' +
        'browser can be opened, only prints the address.',
    )
    .argument('[id]', `${ID_HELP}; without it the first page`)
    .action(async (part: string | undefined) => {
      const { output, notices } = context;
      const client = context.client();
      const job = part === undefined ? undefined : await client.get(await fullId(client, part));
      const url = consoleUrl(client, job?.id);
      output.line(url);
      if (output.isTerminal && !(await context.openBrowser(url))) {
        notices.line(notices.paint('dim', 'No browser could be opened: open the address in one yourself.'));
      }
    });
}
