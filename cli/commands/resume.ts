import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';

export function registerResumeCommand(program: Command, context: CommandContext): void {
  program
    .command('resume')
    .summary('end the pause of a model whose account had no money left')
    .description(
      'Ends the pause of a model and its fallbacks, after you have added money to the upstream account. ' +
        'Without it, one job probes the upstream once a minute at first and every ten minutes later. ' +
        'Needs the key of admin.',
    )
    .argument('<model>', 'a configured model')
    .option('--json', 'print the JSON of the API: {model, upstream_models, resumed}')
    .action(async (model: string, options: { json?: true }) => {
      const resumed = await context.client().resume(model);
      const { output } = context;
      if (options.json) return printJson(context, resumed);
      const word = resumed.resumed ? 'is resumed' : 'was not paused';
      const name = oneLine(resumed.model);
      const upstream = resumed.upstream_models.map(oneLine).join(', ');
      output.line(`${name} ${word}${upstream === name ? '' : ` (${upstream})`}`);
    });
}
