import type { Command } from 'commander';
import { registerBatchCommand } from './batch/command.ts';
import type { CommandContext } from './command-context.ts';
import { registerAskCommand } from './commands/ask.ts';
import { registerAuditCommand } from './commands/audit.ts';
import { registerFollowCommand } from './commands/follow.ts';
import { registerInspectCommand } from './commands/inspect.ts';
import { registerListCommand } from './commands/list.ts';
import { registerModelsCommands } from './commands/models.ts';
import { registerOpenCommand } from './commands/open.ts';
import { registerResultCommand } from './commands/result.ts';
import { registerStatusCommand } from './commands/status.ts';
import { registerUsageCommand } from './commands/usage.ts';
import { registerWatchCommand } from './commands/watch.ts';
import { EXIT_CODES_HELP } from './exit-code.ts';
import { registerMcpCommand } from './processes/mcp.ts';
import { rootCommand } from './root-command.ts';
import { registerSelectionCommands } from './selection/commands.ts';

/**
 * createProgram makes the commands that talk to an instance; the entry point adds the commands that run one.
 */
export function createProgram(context: CommandContext, version: string): Command {
  const program = rootCommand(version).addHelpText('after', EXAMPLES).addHelpText('after', EXIT_CODES_HELP);
  registerAskCommand(program, context);
  registerStatusCommand(program, context);
  registerResultCommand(program, context);
  registerListCommand(program, context);
  registerWatchCommand(program, context);
  registerFollowCommand(program, context);
  registerSelectionCommands(program, context);
  registerBatchCommand(program, context);
  registerUsageCommand(program, context);
  registerAuditCommand(program, context);
  registerModelsCommands(program, context);
  registerOpenCommand(program, context);
  registerMcpCommand(program, context);
  registerInspectCommand(program, context);
  return program;
}

/**
 * registerCompletion adds `o3q completion SHELL`, which prints a script for a shell, and the hidden command
 * that this script calls. It must come after all other commands, whose names and options it reads.
 */
export async function registerCompletion(program: Command, { output }: CommandContext): Promise<void> {
  const { default: tab } = await import('@bomb.sh/tab/commander');
  const completion = tab(program, { completionCommandName: COMPLETION });
  const name = program.name();
  program.commands
    .find((command) => command.name() === COMPLETION)
    ?.summary('print a script with which your shell completes commands and options')
    .description('Prints a script with which your shell completes the commands and options of o3q.')
    .addHelpText('after', COMPLETION_EXAMPLES)
    .action((shell: string) => (shell === 'bash' ? output.line(BASH) : completion.setup(name, name, shell)));
}

/**
 * BASH completes in every bash from version 3.2. The script of @bomb.sh/tab needs the package
 * bash-completion, says `command not found` without it, and evaluates what has been typed so far.
 *
 * `o3q complete` prints a value in each line, a tab and its meaning, and last a colon and a number. A value
 * behind `--option=` has no `--option=` before it: bash completes what is behind the `=`.
 */
const BASH = `# bash completion for o3q
__o3q_complete() {
  local words value last tab=$'\\t'
  read -ra words <<< "\${COMP_LINE:0:COMP_POINT}"
  [[ \${COMP_LINE:0:COMP_POINT} == *[[:space:]] ]] && words+=('')
  last=\${words[\${#words[@]}-1]}
  COMPREPLY=()
  while IFS= read -r value; do
    value=\${value%%"$tab"*}
    [[ $value == :* || $value != "\${last##*=}"* ]] || COMPREPLY+=("$value")
  done < <(o3q complete -- "\${words[@]:1}" 2> /dev/null)
}
complete -F __o3q_complete o3q`;

const COMPLETION = 'completion';

const EXAMPLES = `
Examples:
  o3q ask "Why is the sky blue?" --wait
  o3q watch
  o3q list --status failed

o3q talks to the instance at O3Q_URL (default http://127.0.0.1:3000) and sends O3Q_API_KEY.
Both are read from the environment or from a .env file in the current folder.`;

const COMPLETION_EXAMPLES = `
Examples:
  source <(o3q completion bash)         for this shell
  source <(o3q completion zsh)          for this shell; after compinit
  o3q completion fish > ~/.config/fish/completions/o3q.fish`;
