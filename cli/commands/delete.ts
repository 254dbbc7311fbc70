import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import type { CommandContext } from '../command-context.ts';
import { EXIT, UsageError } from '../exit-code.ts';
import { fullIds, ID_HELP } from '../job-id.ts';

export function registerDeleteCommand(program: Command, context: CommandContext): void {
  program
    .command('delete')
    .summary('delete finished jobs, here and at the upstream')
    .description(
      'Deletes finished jobs with their answers. A worker then deletes their responses at the upstream. ' +
        'Says what will be deleted, and asks first. Exits with 1 when a job was not deleted.',
    )
    .argument('<id...>', `${ID_HELP}; several are separated by blanks`)
    .option('-y, --yes', 'do not ask')
    .action(async (given: string[], options: { yes?: true }) => {
      const client = context.client();
      const ids = await fullIds(client, given);
      if (!options.yes && !(await confirmed(ids, client, context))) {
        context.notices.line('Nothing was deleted.');
        return context.finish(EXIT.failed);
      }
      await deleteAll(ids, client, context);
    });
}

/**
 * Deletes the jobs one after the other. When the instance refuses to delete a job, the others are still
 * deleted. When the instance cannot be reached, the command ends.
 */
async function deleteAll(ids: string[], client: O3Client, context: CommandContext): Promise<void> {
  for (const id of ids) {
    try {
      await client.delete(id);
      context.output.line(`🗑️ ${oneLine(id)} is deleted`);
    } catch (error: unknown) {
      if (!(error instanceof O3ClientError) || error.status === undefined || error.status >= 500) throw error;
      context.notices.line(`${context.notices.paint('red', 'o3q:')} ${oneLine(error.message)}`);
      context.finish(EXIT.failed);
    }
  }
}

/** Shows the jobs, and what they cost, and asks whether to delete them. Ctrl-C and Ctrl-D mean no. */
async function confirmed(
  ids: string[],
  client: O3Client,
  { input, notices }: CommandContext,
): Promise<boolean> {
  if (input.isTTY !== true) throw new UsageError('expected --yes: there is no terminal to ask on');
  let spentUsd = 0;
  for (const id of ids) {
    const { status, question, cost_usd } = await client.get(id);
    spentUsd += cost_usd ?? 0;
    notices.line(`${oneLine(id)}  ${status}  ${oneLine(question)}`);
  }
  const jobs = ids.length === 1 ? '1 job' : `${ids.length} jobs`;
  const prompt = createInterface({ input, output: notices.stream });
  const answer = await new Promise<string>((resolve) => {
    prompt.once('close', () => resolve(''));
    prompt.once('SIGINT', () => prompt.close());
    prompt.question(`Delete ${jobs}, for which ${formatUsd(spentUsd)} was spent? [y/N] `, resolve);
  });
  prompt.close();
  return /^y(es)?$/i.test(answer.trim());
}
