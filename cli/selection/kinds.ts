import { countText } from '../../src/client/quantity.ts';
import { oneLine } from '../../src/client/terminal-text.ts';
import type { ActionKind, Selection } from '../../src/job/action.ts';
import { formatUsd } from '../../src/usage/usd.ts';

/** KindWords are the words for one of the three things that can be done with many jobs. */
export interface KindWords {
  verb: string;
  past: string;
  icon: string;
  summary: string;
  description: string;
}

/** KINDS has the words of cancel, retry and delete. */
export const KINDS: Record<ActionKind, KindWords> = {
  cancel: {
    verb: 'Cancel',
    past: 'cancelled',
    icon: '🚫',
    summary: 'stop jobs, and the spending',
    description: 'Cancels jobs that are not finished.',
  },
  retry: {
    verb: 'Retry',
    past: 'retried',
    icon: '⏳',
    summary: 'run failed or cancelled jobs again',
    description:
      'Runs failed or cancelled jobs again from their first attempt, which buys new responses. A selection ' +
      'without --status retries failed jobs only.',
  },
  delete: {
    verb: 'Delete',
    past: 'deleted',
    icon: '🗑️',
    summary: 'delete finished jobs, here and at the upstream',
    description:
      'Deletes finished jobs with their answers. A worker then deletes their responses at the upstream.',
  },
};

/** questionAbout asks whether to act on jobs: `Cancel 120 jobs, for which $3.10 was spent?`. */
export function questionAbout(kind: ActionKind, { matching, more, cost_usd: usd }: Selection): string {
  const jobs = `${more ? 'more than ' : ''}${countText(matching, 'job')}`;
  const least = more ? 'at least ' : '';
  const again = kind === 'retry' ? ' Each buys a new response.' : '';
  return `${KINDS[kind].verb} ${jobs}, for which ${least}${formatUsd(usd)} was spent?${again}`;
}

/** countsText lists what there is of each reason: `2 already finished, 1 busy`. */
export function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([reason, count]) => `${oneLine(reason).replaceAll('_', ' ')}: ${count.toLocaleString('en-US')}`)
    .join(', ');
}
