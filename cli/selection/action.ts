import { sleep } from '../../src/async/sleep.ts';
import type { O3Client } from '../../src/client/o3-client.ts';
import { countText, numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { Action } from '../../src/job/action.ts';
import { type CommandContext, printJson } from '../command-context.ts';
import { nextCommands } from '../display/outcome.ts';
import type { Terminal } from '../display/terminal.ts';
import { cutText } from '../display/wrapped-text.ts';
import { EXIT, type ExitCode } from '../exit-code.ts';
import { idFor } from '../job-id.ts';
import { startLiveDisplay } from '../live/live-display.ts';
import { isTransient } from '../live/trouble.ts';
import { countsText, KINDS } from './kinds.ts';

const LOOK_MS = 500;

/**
 * watchAction shows how far a long action has come, until it has ended or Ctrl-C leaves it running, and sets
 * the exit code.
 */
export async function watchAction(
  context: CommandContext,
  client: O3Client,
  started: Action,
  { json = false }: { json?: boolean },
): Promise<void> {
  const { output, notices } = context;
  const signal = context.interruption();
  const display = notices.isTerminal ? await startLiveDisplay(notices.stream) : undefined;
  if (display === undefined) notices.line(`The action ${oneLine(started.id)} has started.`);
  let action = started;
  try {
    while (!isOver(action)) {
      display?.show(() => progressText(action, notices));
      await sleep(LOOK_MS, signal);
      action = await client.actions.get(action.id, { signal }).catch((error: unknown) => {
        if (!isTransient(error)) throw error;
        return action;
      });
    }
  } catch (error: unknown) {
    if (!signal.aborted) throw error;
  } finally {
    display?.clear();
  }
  if (json) printJson(context, action);
  else if (isOver(action)) output.line(endText(action));
  context.finish(isOver(action) ? exitCodeOf(action) : left(context, action));
}

function isOver({ status }: Action): boolean {
  return status === 'done' || status === 'stopped';
}

function exitCodeOf({ status, failed }: Action): ExitCode {
  return status === 'done' && Object.keys(failed).length === 0 ? EXIT.done : EXIT.failed;
}

/** left says that the action goes on, and how to watch or stop it. */
function left({ notices }: CommandContext, { id }: Action): ExitCode {
  const short = idFor(notices, id);
  notices.line(`The action ${oneLine(id)} goes on.`);
  notices.line(
    nextCommands(notices, [
      [`o3q actions ${short}`, 'shows how far it has come'],
      [`o3q actions ${short} --stop`, 'stops it; what it has done stays done'],
    ]),
  );
  return EXIT.interrupted;
}

function progressText(action: Action, terminal: Terminal): string {
  const { matching, more, status } = action;
  const of = more ? `more than ${numberText(matching)}` : countText(matching, 'job');
  const text = `${status}: ${numberText(touched(action))} of ${of}; Ctrl-C leaves it running`;
  return terminal.paint('dim', cutText(text, (terminal.columns() ?? 80) - 1));
}

function touched({ done, skipped, failed }: Action): number {
  return [...Object.values(skipped), ...Object.values(failed)].reduce((sum, count) => sum + count, done);
}

/** endText says what an action has done: `🚫 118 jobs are cancelled; not cancelled: already finished: 2`. */
export function endText(action: Action): string {
  const { icon, past } = KINDS[action.kind];
  const others = countsText({ ...action.skipped, ...action.failed });
  const jobs = `${icon} ${countText(action.done, 'job')} ${action.done === 1 ? 'is' : 'are'} ${past}`;
  const stopped = action.status === 'stopped' ? '; the action was stopped' : '';
  return `${jobs}${others === '' ? '' : `; not ${past}: ${others}`}${stopped}`;
}
