import type { Command } from 'commander';
import { sleep } from '../../src/async/sleep.ts';
import { oneLine, printable, printableJson } from '../../src/client/terminal-text.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import type { CommandContext } from '../command-context.ts';
import { jobDetails } from '../display/job-details.ts';
import { jobLine } from '../display/job-line.ts';
import { interrupted, nextCommands } from '../display/outcome.ts';
import type { Terminal } from '../display/terminal.ts';
import { cutText } from '../display/wrapped-text.ts';
import { EXIT, EXIT_CODES_HELP, exitCodeOfJob } from '../exit-code.ts';
import { fullId, ID_HELP, idFor } from '../job-id.ts';
import {
  createJobWatch,
  createSingleWatch,
  createTotals,
  type JobWatch,
  type Look,
} from '../live/job-watch.ts';
import { startLiveDisplay } from '../live/live-display.ts';
import { isTransient } from '../live/trouble.ts';
import { watchOverview } from '../live/watch-overview.ts';

const LOOK_MS = 1000;

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
      const isDrawn = context.output.isTerminal && options.json !== true;
      const totals = isDrawn ? createTotals(client) : undefined;
      const looks = id === undefined ? createJobWatch(client, totals) : createSingleWatch(client, id);
      const last = await watch(context, looks, id !== undefined, options.json === true, signal);
      if (id === undefined) context.finish(EXIT.done);
      else if (last === undefined || !isFinishedJob(last)) context.finish(interrupted(context, id));
      else {
        if (context.output.isTerminal && last.status === 'completed') {
          context.notices.line(
            nextCommands(context.notices, [
              [`o3q result ${idFor(context.notices, last.id)}`, 'prints its answer'],
            ]),
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
  let draw = (): string => '';
  return {
    show({ jobs, totals }) {
      const [job] = jobs;
      draw = () =>
        isSingle && job !== undefined ? jobDetails(job, output) : watchOverview(jobs, totals, output);
      display.show(draw);
    },
    showTrouble(message) {
      // The trouble takes the place of the last line, so that the text still fits the terminal.
      const trouble = output.paint(
        'red',
        cutText(`${oneLine(message)}; trying again`, output.columns() ?? 80),
      );
      display.show(() => [...draw().split('\n').slice(0, -1), trouble].join('\n'));
    },
    end: () => {
      display.keep();
      // The terminal has echoed ^C, so the next output needs a new line.
      if (signal.aborted) output.line('');
    },
  };
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
