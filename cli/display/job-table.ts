import { durationText } from '../../src/client/quantity.ts';
import { iconOf, oneLine } from '../../src/client/terminal-text.ts';
import type { JobStatus } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';
import { whyUnanswered } from '../../src/responses/unanswered.ts';
import { shortIds } from '../job-id.ts';
import { borderlessTable, type Column } from './borderless-table.ts';
import { costText } from './cost-text.ts';
import type { Style, Terminal } from './terminal.ts';

/** JobColumn is a column, and its text for a job. Its `leftOut` says what it is worth. */
type JobColumn = Column & { text: (job: JobView) => string };

const STYLES: Record<JobStatus, Style> = {
  waiting: 'gray',
  delayed: 'gray',
  active: 'cyan',
  completed: 'green',
  failed: 'red',
  cancelled: 'yellow',
};

/** The icon of a completed job without an answer. */
export const UNANSWERED_ICON = '❗';

/**
 * statusText writes a job's status with its icon; `cancelling` for an active job that is being cancelled,
 * `no answer` for a completed job that has none.
 */
export function statusText(job: JobView): string {
  if (isUnanswered(job)) return `${UNANSWERED_ICON} no answer`;
  const word = job.status === 'active' && job.cancelling ? 'cancelling' : job.status;
  return `${iconOf(job.status)} ${word}`;
}

/** isUnanswered returns whether a job is completed, but has no answer: the model refused or was stopped. */
function isUnanswered(job: JobView): boolean {
  return job.status === 'completed' && whyUnanswered(job.result) !== undefined;
}

export function paintedStatus(job: JobView, { paint }: Terminal): string {
  return paint(isUnanswered(job) ? 'yellow' : STYLES[job.status], statusText(job));
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

/**
 * jobTable shows jobs as a table. On a terminal the ids are short, and the table fits a line; without a limit
 * of width every text is whole.
 */
export function jobTable(jobs: readonly JobView[], terminal: Terminal): string {
  const columns = columnsFor(jobs, terminal);
  const rows = jobs.map((job) => columns.map(({ text }) => text(job)));
  return borderlessTable(columns, rows, terminal);
}

function columnsFor(jobs: readonly JobView[], terminal: Terminal): JobColumn[] {
  const isWide = terminal.columns() === undefined;
  const short = isWide ? new Map<string, string>() : shortIds(jobs);
  const tenants = new Set(jobs.map(({ tenant }) => tenant));
  // A tenant sees only its own jobs. An admin sees those of several, and wants to know whose they are.
  const hasTenants = tenants.size > 1 || (isWide && !tenants.has(null));
  const hasCosts = jobs.some((job) => costText(job) !== '');
  const hasErrors = jobs.some((job) => flawOf(job) !== '');
  const hasMetadata = jobs.some(({ metadata }) => Object.keys(metadata).length > 0);
  // Statuses and ids always stay; the id is what other commands take.
  return [
    { title: 'STATUS', text: (job) => paintedStatus(job, terminal) },
    { title: 'ID', text: ({ id }) => oneLine(short.get(id) ?? id) },
    { title: 'MODEL', shortest: 8, leftOut: 4, text: ({ model }) => oneLine(model) },
    ...(hasTenants ? [TENANT] : []),
    { title: 'CREATED', leftOut: 0, text: (job) => secondOf(job.created_at) },
    { title: 'ATTEMPT', leftOut: 2, text: attemptText },
    {
      title: 'TIME',
      leftOut: 6,
      text: (job) => (job.status === 'waiting' ? positionText(job) : timeSpent(job)),
    },
    ...(hasCosts ? [COST] : []),
    ...(hasErrors ? [ERROR] : []),
    { title: 'QUESTION', shortest: 12, leftOut: 8, text: ({ question }) => oneLine(question) },
    ...(hasMetadata ? [METADATA] : []),
  ];
}

const TENANT: JobColumn = {
  title: 'TENANT',
  shortest: 6,
  leftOut: 3,
  text: (job) => oneLine(job.tenant ?? ''),
};
const COST: JobColumn = { title: 'COST', align: 'right', leftOut: 5, text: costText };
const ERROR: JobColumn = { title: 'ERROR', leftOut: 7, text: flawOf };

const METADATA: JobColumn = {
  title: 'METADATA',
  shortest: 16,
  leftOut: 1,
  text: ({ metadata }) => pairsOf(metadata).join(' '),
};

/** pairsOf writes metadata as the commands take it: `agent=claude-code`. */
export function pairsOf(metadata: JobView['metadata']): string[] {
  return Object.entries(metadata).map(([key, value]) => oneLine(`${key}=${value}`));
}

/** flawOf returns the code of why a job failed, or of why its answer is missing or cut; '' for other jobs. */
function flawOf(job: JobView): string {
  if (job.status === 'failed') return oneLine(job.error.code);
  if (job.status !== 'completed') return '';
  if (job.result.refusal !== null) return 'refusal';
  return oneLine(job.result.incomplete_reason ?? '');
}

/** secondOf writes a time without its milliseconds: `2026-03-01T12:00:00Z`. */
function secondOf(time: string): string {
  return oneLine(time).replace(/\.\d+Z$/, 'Z');
}

/** positionText writes a waiting job's position in the fair queue and its ETA: `#12 in 40s`. */
function positionText({ position, eta_ms: etaMs }: WaitingJob): string {
  if (position === null) return '';
  return etaMs === null ? `#${position}` : `#${position} in ${durationText(etaMs)}`;
}

function attemptText(job: JobView): string {
  return job.attempt === 0 ? '' : `${job.attempt}/${job.max_attempts}`;
}
