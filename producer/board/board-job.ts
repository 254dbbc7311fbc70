import type { AppJob } from '@bull-board/api/typings/app';
import type { JobView, WaitingJob } from '../../src/job/view.ts';

/** Where a text or a list was cut. Nobody writes this by accident, so that what was cut is never saved as if it were whole. */
const CUT_MARK = /… \[\d+ more (characters|items)\]/;
const MOST_ITEMS = 100;

/**
 * A job as the board shows it: BullMQ's times and options, our words for the rest, as `GET /jobs/:id` says them.
 * The board has one place for whatever a job has to tell, `returnValue`; the first things in it are seen without scrolling.
 *
 * @param answer the whole of it, where it is known; in lists its beginning is enough.
 */
export function boardJobFrom(
  job: AppJob,
  view: JobView,
  { longestText, answer }: { longestText: number; answer?: string | undefined },
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
    // The board paints these red and offers to retry them; BullMQ also counts those that failed once and went on.
    isFailed: failure !== undefined,
    failedReason: failure ?? '',
    // Stacks of a refused request only say where we noticed; those of our own mistakes say where they are.
    stacktrace: failure?.startsWith('internal_error')
      ? job.stacktrace
      : failure === undefined
        ? []
        : [failure],
    // In the line BullMQ has it delayed until a date far away.
    delay: view.status === 'delayed' ? job.delay : 0,
    opts: copyable(job.opts, view),
  };
}

/** Whether somebody is about to save data that the board has only seen in part. */
export function isCut(value: unknown): boolean {
  return CUT_MARK.test(JSON.stringify(value) ?? '');
}

/** BullMQ has no state for cancelled jobs and the board none for anything but BullMQ's: so the name says it. */
function statusOf(view: JobView): string {
  return view.status === 'active' && view.cancelling ? 'cancelling' : view.status;
}

function failureOf(view: JobView): string | undefined {
  if (view.status === 'failed') return `${view.error.code}: ${view.error.message}`;
  return view.status === 'cancelled' ? 'cancelled: on request' : undefined;
}

function storyOf(view: JobView, answer: string | undefined): Record<string, unknown> {
  const attempts = {
    attempt: view.attempt,
    max_attempts: view.max_attempts,
    ...(view.cost_usd !== null && { cost_usd: view.cost_usd }),
  };
  switch (view.status) {
    case 'waiting':
      return { waiting_for: view.waiting_for, position: view.position, ...etaOf(view), ...attempts };
    case 'delayed':
      return { waiting_for: view.waiting_for, ...attempts };
    case 'active':
      return { ...view.progress, ...attempts, upstream_id: view.upstream_id };
    case 'completed': {
      // The cost of the answer alone would stand beside that of the job.
      const { answer_preview, usage, cost_usd: _cost, ...rest } = view.result;
      return { answer: answer ?? answer_preview, usage, ...attempts, ...rest, upstream_id: view.upstream_id };
    }
    case 'failed':
      return { error: view.error, usage: view.usage, ...attempts, upstream_id: view.upstream_id };
    case 'cancelled':
      return { usage: view.usage, ...attempts, upstream_id: view.upstream_id };
    default: {
      const never: never = view;
      throw new Error(`unknown status ${JSON.stringify(never)}`);
    }
  }
}

function etaOf({ eta_ms: etaMs, eta_basis: basis }: WaitingJob): Record<string, unknown> {
  if (etaMs === null) return { eta: null, eta_basis: basis };
  return { eta: `in ${Math.ceil(etaMs / 1000).toLocaleString('en-US')} s`, eta_basis: basis };
}

/** The same value with its long texts and lists cut, and saying so. */
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
 * The board duplicates a job by its options. What is this job's own must not go along: with its id BullMQ would take the copy for the job that it has, with its delay the
 * copy would stand in a line that does not know it.
 */
function copyable(options: unknown, view: JobView): unknown {
  if (typeof options !== 'object' || options === null) return options;
  const own = ['jobId', 'timestamp', 'need', 'idempotency', ...(view.status === 'delayed' ? [] : ['delay'])];
  return Object.fromEntries(Object.entries(options).filter(([name]) => !own.includes(name)));
}
