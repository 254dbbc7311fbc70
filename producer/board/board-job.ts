import type { AppJob } from '@bull-board/api/typings/app';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView, WaitingJob } from '../../src/job/view.ts';

/**
 * The mark at the end of a cut text or list. No text contains this mark by accident, so the board can refuse
 * to save a cut text.
 */
const CUT_MARK = /… \[\d+ more (characters|items)\]/;
const MOST_ITEMS = 100;

/**
 * boardJobFrom makes a job as the board shows it: BullMQ's times and options, and the words of
 * `GET /jobs/:id` for the rest. The board shows our details in one place, `returnValue`, whose first fields
 * are visible without scrolling.
 *
 * @param answer the whole answer. Without it the job shows the beginning of its answer, which is enough in
 * lists.
 */
export function boardJobFrom(
  job: AppJob,
  view: JobView,
  { longestText, answer }: { longestText: number; answer?: string | null | undefined },
): AppJob {
  const failure = failureOf(view);
  const { attemptsStarted: _started, ...shown } = job;
  return {
    ...shown,
    name: `${statusOf(view)} · ${view.question}`,
    attempts: view.attempt,
    progress: view.status === 'active' ? view.progress : {},
    data: shortened(job.data, longestText),
    returnValue: shortened(storyOf(view, answer), longestText),
    // The board paints failed jobs red and offers to retry them. BullMQ also counts jobs that failed once and
    // run again.
    isFailed: failure !== undefined,
    failedReason: failure ?? '',
    // The stack of a refused request is useless; the stack of a bug shows where the bug is.
    stacktrace: failure?.startsWith('internal_error')
      ? job.stacktrace
      : failure === undefined
        ? []
        : [failure],
    delay: delayOf(view),
    // The board shows the time from the start to the end, and takes a missing start for the year 1970.
    // `returnValue` shows the time of the end in that case.
    finishedOn: neverStarted(view) ? undefined : job.finishedOn,
    opts: copyable(job.opts, view),
  };
}

/** isCut says whether data contains the mark of a cut, so that saving it would lose the rest. */
export function isCut(value: unknown): boolean {
  return CUT_MARK.test(JSON.stringify(value) ?? '');
}

/**
 * statusOf is part of the job's name on the board, because the board has only BullMQ's states, without
 * `cancelled`.
 */
function statusOf(view: JobView): string {
  return view.status === 'active' && view.cancelling ? 'cancelling' : view.status;
}

function neverStarted(view: JobView): boolean {
  return isFinishedJob(view) && view.started_at === null;
}

function failureOf(view: JobView): string | undefined {
  if (view.status === 'failed') return `${view.error.code}: ${view.error.message}`;
  return view.status === 'cancelled' ? 'cancelled: on request' : undefined;
}

function storyOf(view: JobView, answer: string | null | undefined): Record<string, unknown> {
  const attempts = {
    attempt: view.attempt,
    max_attempts: view.max_attempts,
    ...(view.simulated && !view.cost_usd
      ? { simulated: true }
      : view.cost_usd !== null && { cost_usd: view.cost_usd }),
    ...(view.saved_usd && { saved_usd: view.saved_usd }),
    ...(view.cost_estimated && { cost_estimated: true }),
  };
  switch (view.status) {
    case 'waiting':
      return { waiting_for: view.waiting_for, position: view.position, ...etaOf(view), ...attempts };
    case 'delayed':
      return { waiting_for: view.waiting_for, ...attempts };
    case 'active':
      return { ...view.progress, ...attempts, upstream_id: view.upstream_id };
    case 'completed': {
      // Leaves out the cost of the last response, which would be confused with the cost of the whole job.
      const { answer_preview, usage, ...facts } = view.result;
      const { cost_usd: _, list_usd: _list, saved_usd: _saved, cost_estimated: _estimated, ...rest } = facts;
      return { answer: answer ?? answer_preview, usage, ...attempts, ...rest, upstream_id: view.upstream_id };
    }
    case 'failed':
      return { error: view.error, usage: view.usage, ...attempts, upstream_id: view.upstream_id };
    case 'cancelled':
      return {
        ...(neverStarted(view) && { cancelled_at: view.finished_at, started_at: null }),
        usage: view.usage,
        ...attempts,
        upstream_id: view.upstream_id,
      };
    default: {
      const never: never = view;
      throw new Error(`unknown status ${JSON.stringify(never)}`);
    }
  }
}

/**
 * How long after its creation the job is due, in milliseconds. BullMQ's own delay does not say this: it parks
 * the job until the year 2039.
 */
function delayOf(view: JobView): number {
  return view.status === 'delayed' ? Date.parse(view.due_at) - Date.parse(view.created_at) : 0;
}

function etaOf({ eta_ms: etaMs, eta_basis: basis }: WaitingJob): Record<string, unknown> {
  if (etaMs === null) return { eta: null, eta_basis: basis };
  return { eta: `in ${Math.ceil(etaMs / 1000).toLocaleString('en-US')} s`, eta_basis: basis };
}

/** shortened cuts the long texts and lists of a value, and marks where. */
function shortened(value: unknown, longestText: number): unknown {
  if (typeof value === 'string') {
    const more = value.length - longestText;
    return more > 0 ? `${value.slice(0, longestText)}… [${more} more characters]` : value;
  }
  if (Array.isArray(value)) {
    const more = value.length - MOST_ITEMS;
    const items = value.slice(0, MOST_ITEMS).map((item) => shortened(item, longestText));
    return more > 0 ? [...items, `… [${more} more items]`] : items;
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, part]) => [key, shortened(part, longestText)]),
    );
  }
  return value;
}

/**
 * copyable removes the options that must not be copied when the board duplicates a job. With the id of the
 * original, BullMQ would take the copy for the original. With the delay of the original, the copy would be
 * parked outside the fair queue.
 */
function copyable(options: unknown, view: JobView): unknown {
  if (typeof options !== 'object' || options === null) return options;
  const own = ['jobId', 'timestamp', 'need', 'idempotency', 'delay'];
  const shared = Object.entries(options).filter(([name]) => !own.includes(name));
  return { ...Object.fromEntries(shared), ...(view.status === 'delayed' && { delay: delayOf(view) }) };
}
