import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { ResultOutcome } from '../../src/job/view.ts';
import { whyUnanswered } from '../../src/responses/unanswered.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { EXIT, type ExitCode, exitCodeOfJob } from '../exit-code.ts';
import { idFor } from '../job-id.ts';
import { startLiveDisplay } from '../live/live-display.ts';
import { costText } from './cost-text.ts';
import { fallbackText, tokensText } from './job-details.ts';
import { jobLine } from './job-line.ts';
import { UNANSWERED_ICON } from './job-table.ts';
import type { Terminal } from './terminal.ts';

const REDRAW_MS = 1000;
/** Errors of the instance or its Redis, which do not end the job. */
const AWAY: ReadonlySet<string> = new Set(['instance_unreachable', 'redis_unavailable']);

/**
 * waitForOutcome waits for the end of a job and shows its progress on a terminal.
 *
 * @returns undefined when Ctrl-C has ended the waiting, or the time is up.
 */
export async function waitForOutcome(
  context: CommandContext,
  client: O3Client,
  id: string,
  options: { timeoutMs: number; signal: AbortSignal },
): Promise<ResultOutcome | undefined> {
  const stopProgress = showProgress(context.notices, client, id);
  try {
    return await client.result(id, options);
  } catch (error: unknown) {
    if (options.signal.aborted) return undefined;
    if (error instanceof O3ClientError && AWAY.has(error.code)) {
      context.notices.line(
        `The job ${oneLine(id)} still runs; \`o3q result ${oneLine(id)} --wait\` waits for its answer again.`,
      );
    }
    throw error;
  } finally {
    await stopProgress();
  }
}

/** OutcomeForm says how an outcome is printed. `said`: the answer has already been printed. */
export type OutcomeForm = 'text' | 'json' | 'said';

/**
 * finishWith prints the outcome of a job and sets the exit code.
 *
 * @param outcome undefined after an interruption.
 */
export function finishWith(
  context: CommandContext,
  id: string,
  outcome: ResultOutcome | undefined,
  form: OutcomeForm,
): void {
  context.finish(outcome === undefined ? interrupted(context, id) : printOutcome(context, outcome, form));
}

/** nextCommands lists commands that the user may want next, aligned. */
export function nextCommands(
  terminal: Terminal,
  commands: readonly [command: string, does: string][],
): string {
  const width = Math.max(...commands.map(([command]) => command.length));
  return commands
    .map(
      ([command, does]) =>
        `  ${terminal.paint('bold', command.padEnd(width))}  ${terminal.paint('dim', does)}`,
    )
    .join('\n');
}

/** interrupted says that the job still runs and how to continue. */
export function interrupted({ notices }: CommandContext, id: string): ExitCode {
  notices.line(`Stopped waiting; the job ${oneLine(id)} still runs.`);
  notices.line(
    nextCommands(notices, [
      [`o3q result ${idFor(notices, id)} --wait`, 'waits for its answer again'],
      [`o3q cancel ${idFor(notices, id)}`, 'stops the job, and the spending'],
    ]),
  );
  return EXIT.interrupted;
}

function printOutcome(context: CommandContext, outcome: ResultOutcome, form: OutcomeForm): ExitCode {
  const json = form === 'json';
  const { output, notices } = context;
  if (outcome.status === 'completed') {
    const { result } = outcome;
    if (json) printJson(context, result);
    else if (form === 'text' && result.answer !== null) output.foreignText(result.answer);
    const reason = whyUnanswered(result);
    if (reason !== undefined) notices.line(notices.paint('yellow', `No answer: ${oneLine(reason)}`));
    else if (result.incomplete_reason !== null) {
      const why = oneLine(result.incomplete_reason);
      notices.line(notices.paint('yellow', `The answer is incomplete, because the upstream stopped: ${why}`));
    }
    const fallback = fallbackText(result);
    if (fallback !== undefined && !json) {
      notices.line(notices.paint('yellow', oneLine(`${result.upstream_model} answered ${fallback}`)));
    }
    if (notices.isTerminal && !json) {
      const usage = result.usage === null ? '' : `, ${tokensText(result.usage)}`;
      const cost = costText(result);
      notices.line(
        notices.paint(
          'dim',
          `${reason === undefined ? '✅' : UNANSWERED_ICON} ${oneLine(result.upstream_model)}${usage}${cost === '' ? '' : `, ${cost}`}`,
        ),
      );
    }
    return reason === undefined ? EXIT.done : EXIT.failed;
  }
  const { job } = outcome;
  if (json) printJson(context, job);
  else {
    notices.line(jobLine(job, notices));
    notices.line(nextCommands(notices, commandsFor(idFor(notices, job.id), isFinishedJob(job))));
  }
  return exitCodeOfJob(job);
}

function commandsFor(id: string, isFinished: boolean): [string, string][] {
  if (isFinished) return [[`o3q retry ${id}`, 'runs it again, and buys a new response']];
  return [[`o3q result ${id} --wait`, 'waits for its answer']];
}

/**
 * showProgress shows a job on a terminal, and nothing in a pipe. Returns a function that removes the display.
 */
function showProgress(terminal: Terminal, client: O3Client, id: string): () => Promise<void> {
  if (!terminal.isTerminal) return async () => {};
  const end = new AbortController();
  const shown = (async () => {
    const display = await startLiveDisplay(terminal.stream);
    try {
      for (;;) {
        const job = await client.get(id, { signal: end.signal });
        const hint = terminal.paint('dim', 'Ctrl-C stops waiting; the job still runs');
        display.show(() => `${jobLine(job, terminal)}\n${hint}`);
        await sleep(REDRAW_MS, end.signal);
      }
    } catch {
      // The display has ended, or the instance is away. The caller's own wait handles the latter.
    } finally {
      display.clear();
    }
  })();
  return async () => {
    end.abort();
    await shown;
  };
}
