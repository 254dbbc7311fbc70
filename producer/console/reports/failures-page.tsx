import { countText, numberText } from '../../../src/client/quantity.ts';
import type { FailureGroup, Failures } from '../../../src/overview/failures.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import type { Visitor } from '../navigation.tsx';
import { Time } from '../parts.tsx';

/** failuresPage makes the page that groups the newest failed jobs by what they failed of. */
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
        {groups.length > 0 && <Groups groups={groups} />}
      </>
    ),
  };
}

function Groups({ groups }: { groups: readonly FailureGroup[] }) {
  return (
    <table class="list">
      <thead>
        <tr>
          <th scope="col" class="number">
            Jobs
          </th>
          <th scope="col">Why</th>
          <th scope="col" class="number">
            Cost so far
          </th>
          <th scope="col">The newest</th>
          <th scope="col">All of this code</th>
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => (
          <tr key={`${group.code} ${group.message}`}>
            <td class="number">
              <strong>{numberText(group.count)}</strong>
            </td>
            <td class="wide">
              <code>{group.code}</code>
              <br />
              {group.message}
            </td>
            <td class="number">{formatUsd(group.cost_usd)}</td>
            <td>
              {group.newest !== undefined && (
                <a href={pagePathOf(group.newest.id)} title={group.newest.question}>
                  <Time
                    of={'finished_at' in group.newest ? group.newest.finished_at : group.newest.created_at}
                  />
                </a>
              )}
            </td>
            <td>
              <a href={`/jobs?status=failed&error=${encodeURIComponent(group.code)}`}>
                The jobs<span class="hidden"> with {group.code}</span>
              </a>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
