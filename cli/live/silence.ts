import { durationText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { JobView } from '../../src/job/view.ts';
import type { Terminal } from '../display/terminal.ts';
import { cutText } from '../display/wrapped-text.ts';
import { startLiveDisplay } from './live-display.ts';

const TICK_MS = 1000;

/**
 * Silence says why a job says nothing: as a line with a clock on a terminal, elsewhere as a line per status.
 */
export interface Silence {
  /** The job says nothing, and this is how it stands. */
  begin(job: JobView): void;
  /** The job says nothing again, and stands as it did. */
  resume(): void;
  /** The job says something, or has ended. */
  end(): void;
}

export async function createSilence(terminal: Terminal): Promise<Silence> {
  if (!terminal.isTerminal) return silenceInPipe(terminal);
  const display = await startLiveDisplay(terminal.stream);
  let job: JobView | undefined;
  let sinceMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const draw = (): string => {
    if (job === undefined) return '';
    const text = silenceText(job, performance.now() - sinceMs);
    return terminal.paint('dim', cutText(text, (terminal.columns() ?? 80) - 1));
  };
  const resume = (): void => {
    if (job === undefined) return;
    timer ??= setInterval(() => display.show(draw), TICK_MS);
    display.show(draw);
  };
  return {
    begin(now) {
      job = now;
      sinceMs = performance.now() - ageMs(now);
      resume();
    },
    resume,
    end() {
      if (timer === undefined) return;
      clearInterval(timer);
      timer = undefined;
      display.hide();
    },
  };
}

function silenceInPipe(terminal: Terminal): Silence {
  let said: string | undefined;
  return {
    begin(job) {
      // Every step in the fair queue is an event, but not worth a line.
      if (job.status !== said) terminal.line(silenceText(job, ageMs(job)));
      said = job.status;
    },
    resume: () => {},
    end: () => {},
  };
}

/** silenceText is a line about a job without text: `0:42 job_… waits: its turn: 4 jobs before it`. */
export function silenceText(job: JobView, elapsedMs: number): string {
  return `${clockText(elapsedMs)} ${oneLine(job.id)} ${reasonOf(job)}`;
}

function reasonOf(job: JobView): string {
  switch (job.status) {
    case 'waiting': {
      const end = job.eta_ms === null ? '' : `; done in ${durationText(job.eta_ms)} perhaps`;
      return `waits: ${oneLine(job.waiting_for)}${end}`;
    }
    case 'delayed':
      return `waits: ${oneLine(job.waiting_for)}, until ${oneLine(job.due_at)}`;
    case 'active':
      return job.cancelling ? 'is being cancelled' : `thinks: attempt ${job.attempt} of ${job.max_attempts}`;
    case 'completed':
    case 'failed':
    case 'cancelled':
      return `is ${job.status}`;
    default:
      return job satisfies never;
  }
}

/** ageMs returns how long a job has run, or else how long it has waited, in milliseconds. */
function ageMs(job: JobView): number {
  return job.status === 'active' ? job.duration_ms : Math.max(0, Date.now() - Date.parse(job.created_at));
}

/** clockText writes a duration as a clock does: `0:42`, `12:05`, `1:02:03`. */
function clockText(durationMs: number): string {
  const seconds = Math.floor(durationMs / 1000);
  const two = (number: number): string => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
