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
export function failuresPage(failures: Failures, visitor: Visitor): Document {
  const { groups, totals, looked } = failures;
  const total =
    totals === undefined ? undefined : [...totals.values()].reduce((sum, count) => sum + count, 0);
  const failed = total === undefined ? `${numberText(looked)}+` : numberText(total);
  const codes = byCode(groups);
  // Codes of which no job is among the newest.
  for (const code of totals?.keys() ?? []) if (!codes.has(code)) codes.set(code, []);
  return {
    title: looked === 0 ? '✓ nothing failed · Failures' : `✕ ${failed} failed · Failures`,
    visitor,
    current: '/console/failures',
    main: (
      <>
        <h1>Failures</h1>
        <Summary failures={failures} failed={failed} />
        {[...codes].map(([code, ofCode]) => (
          <Code key={code} code={code} groups={ofCode} total={totals?.get(code)} />
        ))}
      </>
    ),
  };
}

/** Summary says how many jobs have failed, and how many of them the page has looked at. */
function Summary({
  failures: { groups, looked, back_to: backTo },
  failed,
}: {
  failures: Failures;
  failed: string;
}) {
  if (looked === 0) return <p class="quiet">No job that is kept has failed.</p>;
  const cost = formatUsd(groups.reduce((sum, group) => sum + group.cost_usd, 0));
  return (
    <p class="quiet">
      {backTo === null ? (
        `${countText(looked, 'failed job')}, ${cost} spent on ${looked === 1 ? 'it' : 'them'}. `
      ) : (
        <>
          {failed} failed jobs. The messages and costs below are those of the newest {numberText(looked)},
          back to <Time of={backTo} />: {cost} spent on them.{' '}
        </>
      )}
      Messages that differ in numbers, times and ids only are one row.
    </p>
  );
}

function byCode(groups: readonly FailureGroup[]): Map<string, FailureGroup[]> {
  const codes = new Map<string, FailureGroup[]>();
  for (const group of groups) codes.set(group.code, [...(codes.get(group.code) ?? []), group]);
  return codes;
}

function Code({
  code,
  groups,
  total,
}: {
  code: string;
  groups: readonly FailureGroup[];
  total: number | undefined;
}) {
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  const cost = formatUsd(groups.reduce((sum, group) => sum + group.cost_usd, 0));
  const jobs = total === undefined ? `${numberText(count)}+` : numberText(total);
  return (
    <section aria-label={code}>
      <div class="head">
        <h2>
          <code>{code}</code> {jobs} {total === 1 ? 'job' : 'jobs'},{' '}
          {total === count ? cost : count === 0 ? 'all older' : `${cost} for the newest ${numberText(count)}`}
        </h2>
        <div class="actions">
          <Link to={`/console/jobs?status=failed&error=${encodeURIComponent(code)}`}>
            The jobs<span class="hidden"> with {code}</span>
          </Link>
          <Link to={`/console/selection?kind=retry&error=${encodeURIComponent(code)}`}>
            {total === 1 ? 'Retry this one…' : `Retry these ${jobs}…`}
            <span class="hidden"> with {code}</span>
          </Link>
        </div>
      </div>
      {groups.length > 0 && <Messages groups={groups} />}
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
