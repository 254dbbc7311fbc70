import { iconOf, oneLine } from '../../src/client/terminal-text.ts';
import type { JobStatus } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { createTable, tableText } from './borderless-table.ts';
import { durationText } from './quantity.ts';
import type { Style, Terminal } from './terminal.ts';

/** The question gets at least this many cells, even if the terminal then wraps the lines of the table. */
const SHORTEST_QUESTION = 16;
const HEAD = ['STATUS', 'ID', 'MODEL', 'ATTEMPT', 'TIME'];
/** The column exists only if a job has a cost: a narrow terminal needs its cells. */
const COST = 'COST';
const QUESTION = 'QUESTION';

const STYLES: Record<JobStatus, Style> = {
  waiting: 'gray',
  delayed: 'gray',
  active: 'cyan',
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
};

/** statusText writes a job's status with its icon; `cancelling` for an active job that is being cancelled. */
export function statusText(job: JobView): string {
  const word = job.status === 'active' && job.cancelling ? 'cancelling' : job.status;
  return `${iconOf(job.status)} ${word}`;
}

export function paintedStatus(job: JobView, { paint }: Terminal): string {
  return paint(STYLES[job.status], statusText(job));
}

/** timeSpent writes how long a job ran, or has been running; '' for a job that has not started. */
export function timeSpent(job: JobView): string {
  switch (job.status) {
    case 'waiting':
    case 'delayed':
      return '';
    case 'active':
      return durationText(job.duration_ms);
    case 'completed':
    case 'failed':
    case 'cancelled':
      return job.started_at === null ? '' : durationText(job.duration_ms);
    default:
      return job satisfies never;
  }
}

/** jobTable shows jobs as a table. On a terminal the question is cut to fit; in a pipe the text is whole. */
export function jobTable(jobs: readonly JobView[], terminal: Terminal): string {
  const hasCosts = jobs.some((job) => job.cost_usd !== null);
  const head = hasCosts ? [...HEAD, COST] : HEAD;
  const rows = jobs.map((job) => [
    paintedStatus(job, terminal),
    oneLine(job.id),
    oneLine(job.model),
    attemptText(job),
    job.status === 'waiting' ? positionText(job) : timeSpent(job),
    ...(hasCosts ? [costText(job)] : []),
  ]);
  const table = createTable(
    [...head, QUESTION].map((title) => terminal.paint('dim', title)),
    { widths: [...head.map(() => null), questionRoom(head, rows, terminal.columns())] },
  );
  table.push(...rows.map((row, index) => [...row, oneLine(jobs[index]?.question ?? '')]));
  return tableText(table);
}

/** positionText writes a waiting job's position in the fair queue and its ETA: `#12 in 40s`. */
function positionText({ position, eta_ms: etaMs }: WaitingJob): string {
  if (position === null) return '';
  return etaMs === null ? `#${position}` : `#${position} in ${durationText(etaMs)}`;
}

function costText({ cost_usd: cost }: JobView): string {
  return cost === null ? '' : formatUsd(cost);
}

function attemptText(job: JobView): string {
  return job.attempt === 0 ? '' : `${job.attempt}/${job.max_attempts}`;
}

/**
 * questionRoom counts the cells that the other columns leave; null when the width of a line is not limited.
 */
function questionRoom(head: string[], rows: readonly string[][], columns: number | undefined): number | null {
  if (columns === undefined) return null;
  const others = createTable(head);
  others.push(...rows);
  // The width of the first line, the head, which is ASCII without colours here, so that a character is a
  // cell.
  return Math.max(SHORTEST_QUESTION, columns - others.width);
}
