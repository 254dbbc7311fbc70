import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { finishWith, waitForOutcome } from '../display/outcome.ts';
import { EXIT_CODES_HELP, UsageError } from '../exit-code.ts';
import { fullId, ID_HELP } from '../job-id.ts';
import { waitChoice } from '../option.ts';

interface ResultOptions {
  wait?: string | true;
  json?: true;
}

export function registerResultCommand(program: Command, context: CommandContext): void {
  program
    .command('result')
    .summary('print the answer of a job')
    .description('Prints the answer of a job. If there is no answer (yet), says why.')
    .usage('[options] <id>')
    .argument('[id]', ID_HELP)
    .option(
      '-w, --wait [seconds]',
      'wait until the job is finished; without a number, wait as long as it takes',
    )
    .option('--json', 'print the JSON of the API: the result of a completed job, else the job')
    .addHelpText('after', EXAMPLES)
    .addHelpText('after', EXIT_CODES_HELP)
    .action((id: string | undefined, options: ResultOptions) => result(context, id, options));
}

async function result(
  context: CommandContext,
  word: string | undefined,
  options: ResultOptions,
): Promise<void> {
  const { argument: part, timeoutMs } = waitChoice(word, options.wait);
  if (part === undefined)
    throw new UsageError('expected the id of a job, got none: o3q result ID; `o3q list` shows the ids');
  const client = context.client();
  const id = await fullId(client, part);
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
