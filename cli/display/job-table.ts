import { iconOf, oneLine } from '../../src/client/terminal-text.ts';
import type { JobStatus, JobView, WaitingJob } from '../../src/job/job.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { createTable, tableText } from './borderless-table.ts';
import { durationText } from './duration.ts';
import type { Style, Terminal } from './terminal.ts';

/** A question is worth wrapping the terminal's lines for rather than showing less of it than this. */
const SHORTEST_QUESTION = 16;
const HEAD = ['STATUS', 'ID', 'MODEL', 'ATTEMPT', 'TIME'];
/** Only where there is one: a narrow terminal has better use for its cells. */
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

export function statusText(job: JobView): string {
  const word = job.status === 'active' && job.cancelling ? 'cancelling' : job.status;
  return `${iconOf(job.status)} ${word}`;
}

export function paintedStatus(job: JobView, { paint }: Terminal): string {
  return paint(STYLES[job.status], statusText(job));
}

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

/** Columns without borders; on a terminal the question gives way, in a pipe nothing is cut. */
export function jobTable(jobs: readonly JobView[], terminal: Terminal): string {
  const hasCosts = jobs.some((job) => job.cost_usd !== null);
  const head = hasCosts ? [...HEAD, COST] : HEAD;
  const rows = jobs.map((job) => [
    paintedStatus(job, terminal),
    oneLine(job.id),
    oneLine(job.model),
    attemptText(job),
    job.status === 'waiting' ? placeText(job) : timeSpent(job),
    ...(hasCosts ? [costText(job)] : []),
  ]);
  const table = createTable(
    [...head, QUESTION].map((title) => terminal.paint('dim', title)),
    { widths: [...head.map(() => null), questionRoom(head, rows, terminal.columns())] },
  );
  table.push(...rows.map((row, index) => [...row, oneLine(jobs[index]?.question ?? '')]));
  return tableText(table);
}

/** `#12 in 40s`: where it stands, and how long until its answer. */
function placeText({ position, eta_ms: etaMs }: WaitingJob): string {
  if (position === null) return '';
  return etaMs === null ? `#${position}` : `#${position} in ${durationText(etaMs)}`;
}

function costText({ cost_usd: cost }: JobView): string {
  return cost === null ? '' : formatUsd(cost);
}

function attemptText(job: JobView): string {
  return job.attempt === 0 ? '' : `${job.attempt}/${job.max_attempts}`;
}

/** The cells that the other columns leave; null, as wide as it likes, where nothing limits a line. */
function questionRoom(head: string[], rows: readonly string[][], columns: number | undefined): number | null {
  if (columns === undefined) return null;
  const others = createTable(head);
  others.push(...rows);
  // The width of its first line, the head, which is ASCII and uncoloured here: characters are cells.
  return Math.max(SHORTEST_QUESTION, columns - others.width);
}
