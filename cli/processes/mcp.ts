import { inspect } from 'node:util';
import type { Command } from 'commander';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { printable } from '../../src/client/terminal-text.ts';
import type { CommandContext } from '../command-context.ts';
import { EXIT } from '../exit-code.ts';

export function registerMcpCommand(program: Command, context: CommandContext): void {
  program
    .command('mcp')
    .summary('serve the tools of agents over stdin and stdout')
    .description(
      'Serves the tools ask_o3, check_o3_status, get_o3_result, list_o3_tasks and cancel_o3 to one agent, over the ' +
        'Model Context Protocol on stdin and stdout. An agent starts it by itself: docs/AGENTS.md has the lines for ' +
        'several. It ends when stdin ends.',
    )
    .action(async () => {
      const { input, output, notices } = context;
      const client = context.client();
      const say = (text: string): void => notices.line(`o3q mcp: ${printable(text)}`);
      void sayTrouble(client, say);
      // Loaded here, because the library takes longer to load than most commands take.
      const { serveMcpStdio } = await import('../../src/mcp/stdio.ts');
      await serveMcpStdio({
        queue: client,
        input,
        output: output.stream,
        stop: context.stopSignals().stop,
        onError: (error) => say(inspect(error)),
      });
      // A call to the instance may still be open.
      context.exit(EXIT.done);
    });
}

/** sayTrouble says what is wrong with the instance, for the log of the agent. The tools then say it too. */
async function sayTrouble(client: O3Client, say: (text: string) => void): Promise<void> {
  try {
    await client.list({ limit: 1 });
  } catch (error: unknown) {
    say(error instanceof O3ClientError ? error.message : inspect(error));
  }
}
