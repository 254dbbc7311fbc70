import type { Command } from 'commander';
import { sleep } from '../../src/async/sleep.ts';
import { O3ClientError } from '../../src/client/client-error.ts';
import { oneLine, printable, printableJson } from '../../src/client/terminal-text.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';
import type { CommandContext } from '../command-context.ts';
import { jobDetails } from '../display/job-details.ts';
import { jobLine } from '../display/job-line.ts';
import { jobTable } from '../display/job-table.ts';
import {
  createJobWatch,
  createSingleWatch,
  fitting,
  type JobWatch,
  type Look,
} from '../display/job-watch.ts';
import { startLiveDisplay } from '../display/live-display.ts';
import { interrupted, nextCommands } from '../display/outcome.ts';
import type { Terminal } from '../display/terminal.ts';
import { linesOf } from '../display/wrapped-text.ts';
import { EXIT, EXIT_CODES_HELP, exitCodeOfJob } from '../exit-code.ts';
import { fullId, ID_HELP } from '../job-id.ts';

const LOOK_MS = 1000;
/**
 * How many rows of the terminal show no jobs: the table's head, the lines around the table, and the cursor's
 * line.
 */
const ROWS_AROUND = 5;

/**
 * Screen shows the jobs of a watch: on a terminal as a table that is redrawn in place, elsewhere as a line
 * for each change.
 */
interface Screen {
  show(look: Look): void;
  /** Says that the instance cannot be reached just now; the watch tries again. */
  showTrouble(message: string): void;
  end(): void;
}

export function registerWatchCommand(program: Command, context: CommandContext): void {
  program
    .command('watch')
    .summary('watch jobs, or one job, live')
    .description(
      'Watches all jobs, or one job until it is finished. ' +
        'Shows a live table on a terminal, and prints a line for each change in a pipe.',
    )
    .argument('[id]', `${ID_HELP}; without it all jobs, until Ctrl-C (exit code 0)`)
    .option('--json', 'print a line of JSON for each change: the job as the API shows it')
    .addHelpText('after', EXIT_CODES_HELP)
    .action(async (part: string | undefined, options: { json?: true }) => {
      const client = context.client();
      const id = part === undefined ? undefined : await fullId(client, part);
      const signal = context.interruption();
      const looks = id === undefined ? createJobWatch(client) : createSingleWatch(client, id);
      const last = await watch(context, looks, id !== undefined, options.json === true, signal);
      if (id === undefined) context.finish(EXIT.done);
      else if (last === undefined || !isFinishedJob(last)) context.finish(interrupted(context, id));
      else {
        if (context.output.isTerminal && last.status === 'completed') {
          context.notices.line(
            nextCommands(context.notices, [[`o3q result ${oneLine(last.id)}`, 'prints its answer']]),
          );
        }
        context.finish(exitCodeOfJob(last));
      }
    });
}

/**
 * watch reads the jobs once a second until the signal aborts, or until the single job is finished. It returns
 * the single job.
 */
async function watch(
  context: CommandContext,
  looks: JobWatch,
  isSingle: boolean,
  json: boolean,
  signal: AbortSignal,
): Promise<JobView | undefined> {
  const { output } = context;
  const screen =
    output.isTerminal && !json ? await drawnScreen(output, isSingle, signal) : lineScreen(context, json);
  let last: Look | undefined;
  try {
    for (;;) {
      try {
        last = await looks.look(signal);
        screen.show(last);
        const [job] = last.jobs;
        if (isSingle && job !== undefined && isFinishedJob(job)) return job;
      } catch (error: unknown) {
        if (last === undefined || !isTransient(error)) throw error;
        screen.showTrouble(error.message);
      }
      await sleep(LOOK_MS, signal);
    }
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
    return isSingle ? last?.jobs[0] : undefined;
  } finally {
    screen.end();
  }
}

async function drawnScreen(output: Terminal, isSingle: boolean, signal: AbortSignal): Promise<Screen> {
  const display = await startLiveDisplay(output.stream);
  let drawn = '';
  return {
    show({ jobs }) {
      const [job] = jobs;
      drawn = isSingle && job !== undefined ? jobDetails(job, output) : overview(jobs, output);
      display.show(drawn);
    },
    showTrouble: (message) => {
      display.show(`${drawn}\n${output.paint('red', `${printable(message)}; trying again`)}`);
    },
    end: () => {
      display.keep();
      // The terminal has echoed ^C, so the next output needs a new line.
      if (signal.aborted) output.line('');
    },
  };
}

/** overview draws the jobs that fit a terminal, and counts the others. */
export function overview(jobs: readonly JobView[], output: Terminal): string {
  if (jobs.length === 0) return 'No jobs yet. Enqueue one: o3q ask "Why is the sky blue?"';
  const reasons = waitingReasons(jobs).flatMap((reason) => linesOf(reason, output));
  const shown = fitting(jobs, (output.stream.rows ?? 24) - ROWS_AROUND - reasons.length);
  const more = jobs.length - shown.length;
  const foot = `${more === 0 ? '' : `${more} more; `}Ctrl-C stops watching; the jobs still run`;
  return [jobTable(shown, output), '', ...[...reasons, foot].map((line) => output.paint('dim', line))].join(
    '\n',
  );
}

/** waitingReasons says for each model what its next job waits for. */
function waitingReasons(jobs: readonly JobView[]): string[] {
  const first = new Map<string, WaitingJob>();
  for (const job of jobs) {
    if (job.status !== 'waiting') continue;
    const known = first.get(job.model);
    if (known === undefined || (job.position ?? 0) < (known.position ?? 0)) first.set(job.model, job);
  }
  return [...first].map(([model, job]) => `${oneLine(model)} waits for ${oneLine(job.waiting_for)}`);
}

function lineScreen({ output, notices }: CommandContext, json: boolean): Screen {
  let trouble = '';
  return {
    show({ changes }) {
      trouble = '';
      for (const job of changes) output.line(json ? printableJson(job) : changeLine(job, output));
    },
    showTrouble(message) {
      if (message !== trouble) notices.line(`${printable(message)}; trying again`);
      trouble = message;
    },
    end: () => {},
  };
}

function changeLine(job: JobView, output: Terminal): string {
  return `${new Date().toISOString()}  ${jobLine(job, output)}  - ${oneLine(job.question)}`;
}

function isTransient(error: unknown): error is O3ClientError {
  return (
    error instanceof O3ClientError &&
    (error.code === 'instance_unreachable' || error.code === 'redis_unavailable')
  );
}
