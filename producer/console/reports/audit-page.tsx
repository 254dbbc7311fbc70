import type { AuditPage } from '../../../src/audit/audit.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import type { Visitor } from '../navigation.tsx';
import { Link, Time } from '../parts.tsx';

/** auditPage makes the page that says who has done what. */
export function auditPage({ entries, next_cursor: next }: AuditPage, visitor: Visitor): Document {
  return {
    title: 'Audit',
    visitor,
    current: '/console/audit',
    main: (
      <>
        <h1>Audit</h1>
        <p class="quiet">
          Cancels, retries and deletions of jobs, actions over many, resumes of models, and logins. Entries
          are kept for 90 days.
        </p>
        {entries.length === 0 ? <p class="quiet">There is no entry.</p> : <Entries entries={entries} />}
        {next !== null && (
          <p>
            <Link to={`/console/audit?cursor=${encodeURIComponent(next)}`} rel="next">
              Older
            </Link>
          </p>
        )}
      </>
    ),
  };
}

function Entries({ entries }: Pick<AuditPage, 'entries'>) {
  return (
    <table class="list plain">
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col">Who</th>
          <th scope="col">What</th>
          <th scope="col">Subject</th>
          <th scope="col">Outcome</th>
        </tr>
      </thead>
      <tbody>
        {entries.map(({ at, by, what, subject, outcome }) => (
          <tr key={`${at} ${what} ${subject}`}>
            <td>
              <Time of={at} />
            </td>
            <td>{by ?? 'no key'}</td>
            <td>{what}</td>
            <td class="wide">
              <Subject what={what} subject={subject} />
            </td>
            <td>{outcome}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Subject({ what, subject }: { what: string; subject: string }) {
  if (what.startsWith('job.')) return <Link to={pagePathOf(subject)}>{subject}</Link>;
  if (what.startsWith('action.')) return <Link to={`/console/actions/${subject}`}>{subject}</Link>;
  return <>{subject}</>;
}
