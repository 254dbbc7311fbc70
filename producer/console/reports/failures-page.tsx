import { countText, numberText } from '../../../src/client/quantity.ts';
import type { FailureGroup, Failures } from '../../../src/overview/failures.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import type { Visitor } from '../navigation.tsx';
import { Link, Time } from '../parts.tsx';

/**
 * failuresPage makes the page that groups the newest failed jobs by what they failed of.
 * The retry of a group of one code leads to the question that counts its jobs and their cost.
 */
export function failuresPage({ groups, looked, back_to: backTo }: Failures, visitor: Visitor): Document {
  const cost = groups.reduce((sum, group) => sum + group.cost_usd, 0);
  const jobs = countText(looked, 'failed job');
  return {
    title: looked === 0 ? '✓ nothing failed · Failures' : `✕ ${numberText(looked)} failed · Failures`,
    visitor,
    current: '/console/failures',
    main: (
      <>
        <h1>Failures</h1>
        {looked === 0 ? (
          <p class="quiet">No job that is kept has failed.</p>
        ) : (
          <p class="quiet">
            {backTo === null ? `${jobs}, ` : `The newest ${jobs}, back to `}
            {backTo !== null && <Time of={backTo} />}
            {backTo !== null && ', '}
            {formatUsd(cost)} spent on {looked === 1 ? 'it' : 'them'}. Messages that differ in numbers, times
            and ids only are one row.
          </p>
        )}
        {[...byCode(groups)].map(([code, ofCode]) => (
          <Code key={code} code={code} groups={ofCode} isAll={backTo === null} />
        ))}
      </>
    ),
  };
}

function byCode(groups: readonly FailureGroup[]): Map<string, FailureGroup[]> {
  const codes = new Map<string, FailureGroup[]>();
  for (const group of groups) codes.set(group.code, [...(codes.get(group.code) ?? []), group]);
  return codes;
}

function Code({ code, groups, isAll }: { code: string; groups: readonly FailureGroup[]; isAll: boolean }) {
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  const cost = groups.reduce((sum, group) => sum + group.cost_usd, 0);
  const jobs = `${numberText(count)}${isAll ? '' : '+'}`;
  return (
    <section aria-label={code}>
      <div class="head">
        <h2>
          <code>{code}</code> {jobs} {count === 1 ? 'job' : 'jobs'}, {formatUsd(cost)}
        </h2>
        <div class="actions">
          <Link to={`/console/jobs?status=failed&error=${encodeURIComponent(code)}`}>
            The jobs<span class="hidden"> with {code}</span>
          </Link>
          <Link to={`/console/selection?kind=retry&error=${encodeURIComponent(code)}`}>
            {count === 1 ? 'Retry this one…' : `Retry these ${jobs}…`}
            <span class="hidden"> with {code}</span>
          </Link>
        </div>
      </div>
      <Messages groups={groups} />
    </section>
  );
}

function Messages({ groups }: { groups: readonly FailureGroup[] }) {
  return (
    <table class="list">
      <thead>
        <tr>
          <th scope="col" class="number">
            Jobs
          </th>
          <th scope="col">Message</th>
          <th scope="col" class="number">
            Cost so far
          </th>
          <th scope="col">The newest</th>
        </tr>
      </thead>
      <tbody>
        {groups.map(({ message, count, cost_usd: cost, newest }) => (
          <tr key={message}>
            <td class="number">
              <strong>{numberText(count)}</strong>
            </td>
            <td class="wide">{message}</td>
            <td class="number">{formatUsd(cost)}</td>
            <td>
              {newest !== undefined && (
                <Link to={pagePathOf(newest.id)} title={newest.question}>
                  <Time of={'finished_at' in newest ? newest.finished_at : newest.created_at} />
                </Link>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
