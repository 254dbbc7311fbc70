import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';

export function registerResumeCommand(program: Command, context: CommandContext): void {
  program
    .command('resume')
    .summary('end the pause of a model whose account had no money left')
    .description(
      'Ends the pause of a model and of its fallbacks: when the upstream account had no money left, and has again. Without it a job probes once a minute, later every ten. Needs the key of admin.',
    )
    .argument('<model>', 'a configured model')
    .option('--json', "print the API's JSON: {model, upstream_models, resumed}")
    .action(async (model: string, options: { json?: true }) => {
      const resumed = await context.client().resume(model);
      const { output } = context;
      if (options.json) return printJson(context, resumed);
      const word = resumed.resumed ? 'is resumed' : 'was not paused';
      output.line(`${oneLine(resumed.model)} ${word} (${resumed.upstream_models.map(oneLine).join(', ')})`);
    });
}
