import type { Command } from 'commander';
import { oneLine } from '../../src/client/terminal-text.ts';
import { type CommandContext, printJson } from '../command-context.ts';

export function registerResumeCommand(program: Command, context: CommandContext): void {
  program
    .command('resume')
    .summary('end the pauses of a model, and the limits that were set on Bull Board')
    .description(
      'Ends any pause of a model and its fallbacks, for example after you have added money to the upstream ' +
        'account, and the pause and limits that were set for its queue on Bull Board. Without it, one job probes the upstream once a minute at first and every ten minutes later. ' +
        'Needs the key of admin.',
    )
    .argument('<model>', 'a configured model')
    .option('--json', 'print the JSON of the API: {model, upstream_models, resumed, ended_on_board}')
    .action(async (model: string, options: { json?: true }) => {
      const resumed = await context.client().resume(model);
      const { output } = context;
      if (options.json) return printJson(context, resumed);
      const word = resumed.resumed ? 'is resumed' : 'was not paused';
      const name = oneLine(resumed.model);
      const upstream = resumed.upstream_models.map(oneLine).join(', ');
      output.line(`${name} ${word}${upstream === name ? '' : ` (${upstream})`}`);
      const ended = resumed.ended_on_board.map((kind) => kind.replace('_', ' '));
      if (ended.length > 0) output.line(`ended on Bull Board: ${ended.join(', ')}`);
    });
}
