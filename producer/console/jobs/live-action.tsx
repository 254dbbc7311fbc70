import { countText, numberText } from '../../../src/client/quantity.ts';
import type { Action } from '../../../src/job/action.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import { Fact, Form, Time } from '../parts.tsx';

const PAST = { cancel: 'Cancelled', retry: 'Retried', delete: 'Deleted' } as const;
const SIGN = { running: '◐', stopping: '◐', stopped: '⊘', done: '✓' } as const;
const CLASS = { running: 'active', stopping: 'active', stopped: 'cancelled', done: 'completed' } as const;

/** actionTitle is the title of an action's page, which begins with its status. */
export function actionTitle({ status, kind, done }: Action): string {
  return `${SIGN[status]} ${status} · ${numberText(done)} ${PAST[kind].toLowerCase()}`;
}

/** LiveAction shows how far an action has come. A script of the page renders it again every second. */
export function LiveAction({ action, note }: { action: Action; note?: string | undefined }) {
  const { status, kind, matching, more, done, skipped, failed, filter } = action;
  const touched = done + sum(skipped) + sum(failed);
  return (
    <>
      <p role="status">
        <span class={`badge ${CLASS[status]}`}>
          {SIGN[status]} {status}
        </span>{' '}
        {note !== undefined && <span class="quiet">{note}</span>}
      </p>
      <label>
        {countText(touched, 'job')} of {numberText(matching)}
        {more ? '+' : ''}
        <progress max={Math.max(matching, touched, 1)} value={touched} />
      </label>
      <dl class="facts">
        <Fact name={PAST[kind]}>{numberText(done)}</Fact>
        <Fact name="Left as they are">{reasonsText(skipped)}</Fact>
        <Fact name="Failed">{reasonsText(failed)}</Fact>
        <Fact name="Their cost until the start">
          {formatUsd(action.cost_usd)}
          {more ? ' or more' : ''}
        </Fact>
        <Fact name="Filter">
          <code>{JSON.stringify(filter)}</code>
        </Fact>
        <Fact name="Started">
          <Time of={action.created_at} />
          {action.started_by !== null && ` by ${action.started_by}`}
        </Fact>
        <Fact name="Ended">{action.finished_at !== null && <Time of={action.finished_at} />}</Fact>
      </dl>
      {status === 'running' && (
        <Form method="post" to={`/console/actions/${encodeURIComponent(action.id)}/stop`}>
          <button class="danger" type="submit">
            Stop
          </button>
        </Form>
      )}
    </>
  );
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function reasonsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([reason, count]) => `${numberText(count)} ${reason.replaceAll('_', ' ')}`)
    .join(', ');
}
