import { refusalOf } from '../errors/input.ts';
import type { ActionKind, Selection } from '../job/action.ts';
import { isFinished, type JobStatus } from '../job/job.ts';
import type { JobFilter } from '../job/job-queue.ts';
import type { JobView } from '../job/view.ts';
import { checkedFilter } from '../job-store/filter.ts';
import { indexFor } from '../job-store/index-sets.ts';
import { matches, type SearchFilter, search } from '../job-store/search.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { NANO_PER_DOLLAR } from '../usage/usd.ts';

/** How many jobs are counted at most, and for how long (ms). */
const COUNTED_AT_MOST = 10_000;
const COUNTS_FOR_MS = 500;
const READ_AT_ONCE = 50;

/** ELIGIBLE says in which statuses a job may be cancelled, retried or deleted. */
const ELIGIBLE: Record<ActionKind, (status: JobStatus) => boolean> = {
  cancel: (status) => !isFinished(status),
  retry: (status) => status === 'failed' || status === 'cancelled',
  delete: isFinished,
};

/**
 * selectionOf makes the filter of an action from what the caller asked for. A retry without a status retries
 * failed jobs only: cancelled ones were stopped on purpose.
 *
 * @throws {QueueError} `invalid_request`
 */
export function selectionOf(kind: ActionKind, asked: JobFilter, queues: QueueAccess['queues']): SearchFilter {
  const filter = checkedFilter(asked, queues);
  const { status } = filter;
  if (status !== undefined && !ELIGIBLE[kind](status)) {
    const what = { cancel: 'that has not ended', retry: 'failed or cancelled', delete: 'that has ended' }[
      kind
    ];
    const message = `expected the status of a job ${what}, got ${status}: no such job can be ${PAST[kind]}`;
    throw refusalOf('filter', [{ path: 'status', message }]);
  }
  if (status !== undefined || kind === 'delete') return filter;
  return kind === 'retry' ? { ...filter, status: 'failed' } : { ...filter, index: 'live' };
}

const PAST: Record<ActionKind, string> = { cancel: 'cancelled', retry: 'retried', delete: 'deleted' };

/** isSelected says whether a job still belongs to the selection of an action. */
export function isSelected(kind: ActionKind, view: JobView, filter: SearchFilter): boolean {
  return ELIGIBLE[kind](view.status) && matches(view, filter);
}

/** countSelection counts the jobs of a selection and what they have cost, for a limited time. */
export async function countSelection(
  { redis, queues }: Pick<QueueAccess, 'redis' | 'queues'>,
  kind: ActionKind,
  filter: SearchFilter,
): Promise<Selection> {
  const stopAt = performance.now() + COUNTS_FOR_MS;
  // The indexes do not know the status of a job that has not ended. All of them have the jobs of other
  // statuses.
  const index = filter.index ?? indexFor(filter.status);
  const needsView = index === 'all' || (index === 'live' && filter.status !== undefined);
  let matching = 0;
  let costNano = 0;
  const selection = (more: boolean): Selection => ({ matching, more, cost_usd: costNano / NANO_PER_DOLLAR });
  for await (const { found } of search(redis, queues, filter, { withCosts: true })) {
    for (let from = 0; from < found.length; from += READ_AT_ONCE) {
      const batch = found.slice(from, from + READ_AT_ONCE);
      const readings = needsView
        ? await Promise.all(batch.map(({ entry }) => queues.get(entry.model)?.read(entry.id)))
        : undefined;
      for (const [i, each] of batch.entries()) {
        const view = readings?.[i]?.view;
        if (readings !== undefined && (view === undefined || !isSelected(kind, view, filter))) continue;
        if (matching === COUNTED_AT_MOST) return selection(true);
        matching += 1;
        costNano += each.costNano;
      }
      if (performance.now() >= stopAt) return selection(true);
    }
    if (performance.now() >= stopAt) return selection(true);
  }
  return selection(false);
}
