import type { AuditEntry } from '../../../src/audit/audit.ts';
import { shown } from '../../../src/errors/input.ts';
import { QueueError } from '../../../src/errors/problem.ts';
import type { Action } from '../../../src/job/action.ts';
import { iso } from '../../../src/model-queue/job-view.ts';
import type { TenantQueue } from '../../../src/queue/tenant-queue.ts';
import type { JobAct } from '../../../src/run/record.ts';
import { type Document, Section } from '../document.tsx';
import type { Visitor } from '../navigation.tsx';
import { Link, Time } from '../parts.tsx';

const PAST = { cancel: 'cancelled', retry: 'retried' } as const;

/** Acts says who has cancelled and retried a job, newest first. A job without acts has no such section. */
export function Acts({ acts = [] }: { acts?: readonly JobAct[] | undefined }) {
  if (acts.length === 0) return null;
  return (
    <Section title="Audit">
      <ul>
        {acts.toReversed().map(({ at, what, by, action }) => (
          <li key={`${at} ${what}`}>
            <Time of={iso(at)} />: {PAST[what]} by {by ?? 'a caller without a key'}
            {action !== null && (
              <>
                {' '}
                with all jobs of <ActionLink id={action} />
              </>
            )}
          </li>
        ))}
      </ul>
    </Section>
  );
}

function ActionLink({ id }: { id: string }) {
  return <Link to={`/console/actions/${encodeURIComponent(id)}`}>{id}</Link>;
}

export function isMissingJob(error: unknown): boolean {
  return error instanceof QueueError && error.code === 'job_not_found';
}

/**
 * missingJobPage makes the page of a job that is not there. It says who has deleted the job, as far as the
 * visitor may know, and which actions have deleted jobs since the job was created.
 */
export async function missingJobPage(queue: TenantQueue, id: string, visitor: Visitor): Promise<Document> {
  const created = creationOf(id);
  const [deletion, actions] = await Promise.all([
    deletionOf(queue, id, created),
    created === undefined ? [] : deletingActions(queue, created),
  ]);
  return {
    title: 'Not Found',
    visitor,
    main: (
      <>
        <h1>Not Found</h1>
        <p class="reason failed">There is no job {shown(id)}.</p>
        {(deletion !== undefined || actions.length > 0) && (
          <Section title="Audit">
            <ul>
              {deletion !== undefined && (
                <li>
                  <Time of={deletion.at} />: deleted by {deletion.by ?? 'a caller without a key'}
                </li>
              )}
              {deletion === undefined &&
                actions.map(({ id: action, created_at: at, started_by: by }) => (
                  <li key={action}>
                    <Time of={at} />: {by ?? 'a caller without a key'} deleted all jobs of{' '}
                    <ActionLink id={action} />, perhaps this one
                  </li>
                ))}
            </ul>
          </Section>
        )}
        <p class="quiet">HTTP status 404</p>
      </>
    ),
  };
}

/** The audit log keeps 20,000 entries, so this many pages of this size are all of them. */
const ENTRIES_AT_ONCE = 1000;
const MOST_PAGES = 21;

/** Finds the entry of a deletion in the part of the log that the caller may read, back to a time. */
async function deletionOf(
  queue: TenantQueue,
  id: string,
  since: string | undefined,
): Promise<AuditEntry | undefined> {
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { entries, next_cursor: next } = await queue.audit({ since, cursor, limit: ENTRIES_AT_ONCE });
    const found = entries.find(({ what, subject }) => what === 'job.delete' && subject === id);
    if (found !== undefined || next === null) return found;
    cursor = next;
  }
  return undefined;
}

async function deletingActions(queue: TenantQueue, since: string): Promise<Action[]> {
  const actions = await queue.actions.list();
  return actions.filter(({ kind, done, created_at: at }) => kind === 'delete' && done > 0 && at >= since);
}

const TEN_YEARS_MS = 10 * 365 * 86_400_000;
/** How far the clock of the process that made an id may be ahead, in milliseconds. */
const SLACK_MS = 3_600_000;

/**
 * Returns a time before a job was created, by its id: a UUID of version 7 begins with the time. undefined:
 * the id says nothing, because it was made from an idempotency key or by another client. Of such ids one in
 * millions looks like a UUID of the last ten years.
 */
function creationOf(id: string): string | undefined {
  const digits = /^job_([0-9a-f]{12})7[0-9a-f]{19}$/.exec(id)?.[1];
  const time = digits === undefined ? Number.NaN : Number.parseInt(digits, 16) - SLACK_MS;
  return Math.abs(Date.now() - time) < TEN_YEARS_MS ? iso(time) : undefined;
}
