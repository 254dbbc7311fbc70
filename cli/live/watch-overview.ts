import { countText, numberText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';
import type { ModelView } from '../../src/models/view.ts';
import { formatUsd } from '../../src/usage/usd.ts';
import { jobTable } from '../display/job-table.ts';
import type { Terminal } from '../display/terminal.ts';
import { linesOf } from '../display/wrapped-text.ts';
import type { Totals } from './job-watch.ts';

/**
 * The lines that are neither totals, reasons nor jobs: two empty ones, the table's head, the foot, the
 * cursor.
 */
const OTHER_LINES = 5;

/**
 * watchOverview draws what `o3q watch` shows: the totals, why models are held up, and the jobs that fit the
 * terminal, running ones on top.
 */
export function watchOverview(jobs: readonly JobView[], totals: Totals, output: Terminal): string {
  const rows = output.stream.rows ?? 24;
  const head = linesOf(totalsText(jobs, totals), output);
  // Reasons take a third of the terminal at most, so that there is room for jobs.
  const reasons = reasonsOf(jobs, totals.models)
    .flatMap((reason) => linesOf(reason, output))
    .slice(0, Math.max(1, Math.floor(rows / 3)));
  const shown = fitting(jobs, rows - OTHER_LINES - head.length - reasons.length);
  const more = jobs.length - shown.length;
  const foot = `${more === 0 ? '' : `${numberText(more)} more; `}Ctrl-C stops watching; the jobs still run`;
  return [
    ...head.map((line) => output.paint('bold', line)),
    ...reasons.map((line) => output.paint('yellow', line)),
    '',
    jobs.length === 0 ? 'No jobs yet. Enqueue one: o3q ask "Why is the sky blue?"' : jobTable(shown, output),
    '',
    ...linesOf(foot, output).map((line) => output.paint('dim', line)),
  ].join('\n');
}

function totalsText(jobs: readonly JobView[], { models, today, hasMore }: Totals): string {
  const count = (status: JobView['status']): string => {
    const number = jobs.filter((job) => job.status === status).length;
    return `${numberText(number)}${hasMore ? '+' : ''}`;
  };
  const sum = (of: (model: ModelView) => number): number =>
    (models ?? []).reduce((all, model) => all + of(model), 0);
  const waiting = models === undefined ? count('waiting') : numberText(sum(({ state }) => state.waiting));
  const workers = models === undefined ? [] : Math.max(0, ...models.map(({ state }) => state.workers));
  const delayed = jobs.some((job) => job.status === 'delayed') ? [`${count('delayed')} delayed`] : [];
  return [
    `${count('active')} active`,
    `${waiting} waiting`,
    ...delayed,
    ...(typeof workers === 'number' ? [countText(workers, 'worker')] : []),
    ...(today === undefined
      ? []
      : [`today ${countText(today.requests, 'answer')}, ${usdText(today.cost_usd)}`]),
  ].join(' · ');
}

function usdText(usd: number | null): string {
  return usd === null ? 'cost unknown' : formatUsd(usd);
}

/** reasonsOf says for each model what holds it up, or else what its next job waits for. */
function reasonsOf(jobs: readonly JobView[], models: readonly ModelView[] | undefined): string[] {
  const stopped = (models ?? []).flatMap(({ model, state: { reason } }) =>
    reason === null ? [] : [{ model, reason }],
  );
  const known = new Set(stopped.map(({ model }) => model));
  const next = [...nextWaiting(jobs).values()].filter(({ model }) => !known.has(model));
  return [
    ...stopped.map(({ model, reason }) => `${oneLine(model)}: ${oneLine(reason)}`),
    ...next.map((job) => `${oneLine(job.model)} waits for ${oneLine(job.waiting_for)}`),
  ];
}

function nextWaiting(jobs: readonly JobView[]): Map<string, WaitingJob> {
  const first = new Map<string, WaitingJob>();
  for (const job of jobs) {
    if (job.status !== 'waiting') continue;
    const known = first.get(job.model);
    if (known === undefined || (job.position ?? 0) < (known.position ?? 0)) first.set(job.model, job);
  }
  return first;
}

/**
 * fitting chooses and orders the jobs for the rows: running ones, newest first; then waiting ones, the next
 * first; then finished ones, the last one first.
 */
export function fitting(jobs: readonly JobView[], rows: number): JobView[] {
  return [...jobs].sort(byWorth).slice(0, Math.max(0, rows));
}

const RANKS: Record<JobView['status'], number> = {
  active: 0,
  waiting: 1,
  delayed: 2,
  completed: 3,
  failed: 3,
  cancelled: 3,
};

function byWorth(one: JobView, other: JobView): number {
  const distance = RANKS[one.status] - RANKS[other.status];
  if (distance !== 0) return distance;
  if (one.status === 'waiting' && other.status === 'waiting' && one.model === other.model) {
    return (one.position ?? 0) - (other.position ?? 0);
  }
  if (isFinishedJob(one) && isFinishedJob(other)) return other.finished_at.localeCompare(one.finished_at);
  return other.created_at.localeCompare(one.created_at);
}
