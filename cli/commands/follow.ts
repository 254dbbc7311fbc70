import type { Command } from 'commander';
import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine, printableJson } from '../../src/client/terminal-text.ts';
import type { JobView, ResultOutcome } from '../../src/job/view.ts';
import type { CommandContext } from '../command-context.ts';
import { finishWith, interrupted, waitForOutcome } from '../display/outcome.ts';
import { linesOf } from '../display/wrapped-text.ts';
import { EXIT_CODES_HELP, exitCodeOfJob } from '../exit-code.ts';
import { fullId, ID_HELP } from '../job-id.ts';
import { createSilence } from '../live/silence.ts';

export function registerFollowCommand(program: Command, context: CommandContext): void {
  program
    .command('follow')
    .summary('print the answer of a job while it is written')
    .description(
      'Prints the answer of a job from its beginning while it is written, and in a pipe when it is complete. ' +
        'Until the first text, says on stderr for how long the job has waited, and why.',
    )
    .argument('<id>', ID_HELP)
    .option('--json', 'print a line of JSON for each event: its type and the data of the API')
    .addHelpText('after', EXIT_CODES_HELP)
    .action(async (part: string, options: { json?: true }) => {
      const client = context.client();
      const id = await fullId(client, part);
      const signal = context.interruption();
      if (options.json) return followEvents(context, client, id, signal);
      finishWith(context, id, ...(await followOutcome(context, client, id, signal)));
    });
}

/**
 * followOutcome prints an answer while it is written if stdout is a terminal, and else waits for its end.
 *
 * @returns how the job ended, undefined after an interruption; and how to print that.
 */
export async function followOutcome(
  context: CommandContext,
  client: O3Client,
  id: string,
  signal: AbortSignal,
): Promise<[outcome: ResultOutcome | undefined, form: 'said' | 'text']> {
  if (context.output.isTerminal) return [await followAnswer(context, client, id, signal), 'said'];
  const timeoutMs = Number.POSITIVE_INFINITY;
  return [await waitForOutcome(context, client, id, { timeoutMs, signal }), 'text'];
}

async function followEvents(
  context: CommandContext,
  client: O3Client,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  let last: JobView | undefined;
  try {
    for await (const { type, data } of client.events(id, { signal })) {
      context.output.line(printableJson({ type, data }));
      if (type === 'done') last = data;
    }
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
  }
  context.finish(last === undefined ? interrupted(context, id) : exitCodeOfJob(last));
}

/**
 * Prints an answer on a terminal while it is being written, after the model's reasoning summary in dim text.
 * Returns undefined when the signal has interrupted it.
 */
async function followAnswer(
  { output, notices }: CommandContext,
  client: O3Client,
  id: string,
  signal: AbortSignal,
): Promise<ResultOutcome | undefined> {
  const silence = await createSilence(notices);
  let speaking: 'delta' | 'reasoning' | undefined;
  const endLine = (): void => {
    if (speaking === 'delta') output.line('');
    if (speaking === 'reasoning') notices.line('');
    speaking = undefined;
  };
  try {
    for await (const event of client.events(id, { signal })) {
      if (event.type !== speaking) endLine();
      switch (event.type) {
        case 'delta':
          silence.end();
          output.foreignPiece(event.data.text);
          speaking = event.type;
          break;
        case 'reasoning':
          silence.end();
          notices.foreignPiece(event.data.text, 'dim');
          speaking = event.type;
          break;
        case 'attempt': {
          const { attempt, reason } = event.data;
          silence.end();
          const text = `Attempt ${attempt} starts the answer again, after: ${oneLine(reason)}`;
          notices.line(notices.paint('yellow', linesOf(text, notices).join('\n')));
          silence.resume();
          break;
        }
        case 'status':
          silence.begin(event.data);
          break;
        case 'done':
          break;
        default:
          event satisfies never;
      }
    }
    silence.end();
    return await client.result(id, { timeoutMs: Number.POSITIVE_INFINITY, signal });
  } catch (error: unknown) {
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    silence.end();
    endLine();
  }
}
