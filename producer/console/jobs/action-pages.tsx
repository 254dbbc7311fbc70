import { countText, numberText } from '../../../src/client/quantity.ts';
import type { Action, ActionKind, Selection } from '../../../src/job/action.ts';
import type { JobFilter } from '../../../src/job/job-queue.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import { DataScript, type Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import type { Visitor } from '../navigation.tsx';
import { Form, Link } from '../parts.tsx';
import { addressOf, fieldsOf } from './job-filter.ts';
import { VERBS } from './jobs-page.tsx';
import { actionTitle, LiveAction } from './live-action.tsx';

/** What happens to each job, in words for the person who decides. */
const EFFECTS: Record<ActionKind, string> = {
  cancel: 'A response that runs is cancelled at the upstream. What it has used until then is paid for.',
  retry: 'Each job runs again from its first attempt, and its answer is bought again.',
  delete: 'Each job is deleted with its question and its answer. This cannot be undone.',
};

/** Question is what a person is asked before something is done with many jobs. */
export interface Question {
  readonly kind: ActionKind;
  readonly filter: JobFilter;
  /** The checked jobs; empty: all jobs of the filter. */
  readonly ids: readonly string[];
  /** How many jobs match the filter, and what they have cost; undefined for checked jobs. */
  readonly selection: Selection | undefined;
}

/** questionPage asks before something is done with many jobs: how many they are, and what they have cost. */
export function questionPage({ kind, filter, ids, selection }: Question, visitor: Visitor): Document {
  const fields = ids.length > 0 ? ids.map((id): [string, string] => ['id', id]) : fieldsOf(filter);
  const count = selection?.matching ?? ids.length;
  const jobs = `${selection?.more === true ? 'more than ' : ''}${countText(count, 'job')}`;
  return {
    title: `${VERBS[kind]} ${jobs}?`,
    visitor,
    current: '/console/jobs',
    main: (
      <>
        <h1>
          {VERBS[kind]} {jobs}?
        </h1>
        {selection !== undefined && (
          <>
            <p>
              They have cost {formatUsd(selection.cost_usd)}
              {selection.more && ' or more: the count stopped here'} so far.
            </p>
            <p>
              Filter: <code>{JSON.stringify(filter)}</code>
            </p>
          </>
        )}
        <p>{EFFECTS[kind]}</p>
        <Form method="post" to={ids.length > 0 ? '/console/selection' : '/console/actions'} class="actions">
          <input type="hidden" name="kind" value={kind} />
          {fields.map(([name, value]) => (
            <input key={`${name} ${value}`} type="hidden" name={name} value={value} />
          ))}
          {count > 0 && (
            <button class={kind === 'retry' ? undefined : 'danger'} type="submit">
              {VERBS[kind]} {jobs}
            </button>
          )}
          <Link to={addressOf({ filter })}>Back to the jobs</Link>
        </Form>
      </>
    ),
  };
}

/** actionPage shows an action, and is updated while it runs. */
export function actionPage(action: Action, visitor: Visitor): Document {
  return {
    title: actionTitle(action),
    visitor,
    current: '/console/jobs',
    scripts: ['producer/console/browser/action-page.js'],
    ...(action.finished_at === null && { reloadS: 2 }),
    main: (
      <>
        <h1>
          {VERBS[action.kind]} {numberText(action.matching)}
          {action.more ? '+' : ''} jobs
        </h1>
        <p class="quiet">
          <code>{action.id}</code>
        </p>
        <div id="live">
          <LiveAction action={action} />
        </div>
        <p>
          <Link to="/console/jobs">Jobs</Link>
        </p>
        <DataScript id="state" data={action} />
      </>
    ),
  };
}

/** Outcome is what became of one checked job: `problem` says why nothing was done. */
export interface Outcome {
  readonly id: string;
  readonly problem: string | undefined;
}

/** outcomesPage says what was done with the checked jobs. */
export function outcomesPage(kind: ActionKind, outcomes: readonly Outcome[], visitor: Visitor): Document {
  const failed = outcomes.filter(({ problem }) => problem !== undefined);
  const past = { cancel: 'cancelled', retry: 'retried', delete: 'deleted' }[kind];
  const title = `${countText(outcomes.length - failed.length, 'job')} ${past}`;
  return {
    title,
    visitor,
    current: '/console/jobs',
    main: (
      <>
        <h1>{title}</h1>
        {failed.length > 0 && (
          <>
            <p>{countText(failed.length, 'job')} left as they are:</p>
            <ul>
              {failed.map(({ id, problem }) => (
                <li key={id}>
                  <Link to={pagePathOf(id)}>{id}</Link>: {problem}
                </li>
              ))}
            </ul>
          </>
        )}
        <p>
          <Link to="/console/jobs">Back to the jobs</Link>
        </p>
      </>
    ),
  };
}
