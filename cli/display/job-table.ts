import { durationText } from '../../src/client/quantity.ts';
import { iconOf, oneLine } from '../../src/client/terminal-text.ts';
import type { JobStatus } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';
import { borderlessTable, type Column } from './borderless-table.ts';
import { costText } from './cost-text.ts';
import type { Style, Terminal } from './terminal.ts';

/** Statuses and ids always stay; the id is what other commands take. */
const COLUMNS: Column[] = [
  { title: 'STATUS' },
  { title: 'ID' },
  { title: 'MODEL', shortest: 8, leftOut: 3 },
  { title: 'ATTEMPT', leftOut: 1 },
  { title: 'TIME', leftOut: 4 },
];
/** The column exists only if a job has a cost. */
const COST: Column = { title: 'COST', leftOut: 2 };
const QUESTION: Column = { title: 'QUESTION', shortest: 12, leftOut: 5 };

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

/** jobTable shows jobs as a table. On a terminal the table fits a line; in a pipe every text is whole. */
export function jobTable(jobs: readonly JobView[], terminal: Terminal): string {
  const hasCosts = jobs.some((job) => costText(job) !== '');
  const rows = jobs.map((job) => [
    paintedStatus(job, terminal),
    oneLine(job.id),
    oneLine(job.model),
    attemptText(job),
    job.status === 'waiting' ? positionText(job) : timeSpent(job),
    ...(hasCosts ? [costText(job)] : []),
    oneLine(job.question),
  ]);
  return borderlessTable([...COLUMNS, ...(hasCosts ? [COST] : []), QUESTION], rows, terminal);
}

/** positionText writes a waiting job's position in the fair queue and its ETA: `#12 in 40s`. */
function positionText({ position, eta_ms: etaMs }: WaitingJob): string {
  if (position === null) return '';
  return etaMs === null ? `#${position}` : `#${position} in ${durationText(etaMs)}`;
}

function attemptText(job: JobView): string {
  return job.attempt === 0 ? '' : `${job.attempt}/${job.max_attempts}`;
}
