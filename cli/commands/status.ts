import type { Command } from 'commander';
import type { O3Client } from '../../src/client/o3-client.ts';
import type { JobView } from '../../src/job/view.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { consoleUrl } from '../console-page.ts';
import { type EarlierAttempt, jobDetails } from '../display/job-details.ts';
import { fullId, ID_HELP } from '../job-id.ts';

/** How long the command waits for what earlier attempts ended with, in milliseconds. */
const READING_MS = 2000;

export function registerStatusCommand(program: Command, context: CommandContext): void {
  program
    .command('status')
    .summary('show one job')
    .description(
      'Shows the details of a job, and what its earlier attempts ended with. Exits with 0 in every status, ' +
        'also when the job failed.',
    )
    .argument('<id>', ID_HELP)
    .option('--json', 'print the JSON of the API: the job')
    .action(async (part: string, options: { json?: true }) => {
      const client = context.client();
      const job = await client.get(await fullId(client, part));
      if (options.json) return printJson(context, job);
      const attempts = await earlierAttempts(client, job);
      const { output } = context;
      output.line(jobDetails(job, output, { attempts }));
      // The address is never broken, so that a terminal can make a link of it.
      output.line(`  ${output.paint('dim', consoleUrl(client, job.id))}`);
    });
}

/**
 * earlierAttempts reads from the events of a job what ended the attempts before its present one. It reads up
 * to the start of that attempt, so that it does not read the answer.
 */
async function earlierAttempts(client: O3Client, job: JobView): Promise<EarlierAttempt[]> {
  const attempts: EarlierAttempt[] = [];
  if (job.attempt < 2 && job.purchases < 2) return attempts;
  const signal = AbortSignal.timeout(READING_MS);
  try {
    for await (const event of client.events(job.id, { signal })) {
      if (event.type !== 'attempt') continue;
      attempts.push({ next: event.data.attempt, reason: event.data.reason });
      if (event.data.attempt >= job.attempt && job.purchases <= attempts.length + 1) break;
    }
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
  }
  return attempts;
}
