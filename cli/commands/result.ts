import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { finishWith, waitForOutcome } from '../display/outcome.ts';
import { EXIT_CODES_HELP, UsageError } from '../exit-code.ts';
import { waitChoice } from '../option.ts';

interface ResultOptions {
  wait?: string | true;
  json?: true;
}

export function registerResultCommand(program: Command, context: CommandContext): void {
  program
    .command('result')
    .summary("print a job's answer")
    .description('Prints the answer of a job, or says why there is none (yet).')
    .usage('<id> [options]')
    .argument('[id]', 'the id of a job')
    .option('-w, --wait [seconds]', 'until it is finished; without seconds: however long it takes')
    .option('--json', "print the API's JSON: the result when it completed, else the job")
    .addHelpText('after', EXAMPLES)
    .addHelpText('after', EXIT_CODES_HELP)
    .action((id: string | undefined, options: ResultOptions) => result(context, id, options));
}

async function result(
  context: CommandContext,
  word: string | undefined,
  options: ResultOptions,
): Promise<void> {
  const { argument: id, timeoutMs } = waitChoice(word, options.wait);
  if (id === undefined)
    throw new UsageError('expected the id of a job: o3q result ID; `o3q list` shows them');
  const client = context.client();
  const outcome =
    timeoutMs === undefined
      ? await client.result(id)
      : await waitForOutcome(context, client, id, { timeoutMs, signal: context.interruption() });
  finishWith(context, id, outcome, options.json === true ? 'json' : 'text');
}

const EXAMPLES = `
Examples:
  o3q result job_01a2… > answer.md
  o3q result job_01a2… --wait 600
  o3q result job_01a2… --json | jq .usage`;
