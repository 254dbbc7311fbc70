import { countText, durationText, numberText } from '../../../src/client/quantity.ts';
import { preview } from '../../../src/errors/preview.ts';
import type { ActionKind } from '../../../src/job/action.ts';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import { statusWord } from '../live-job.tsx';
import type { Visitor } from '../navigation.tsx';
import { Form, Link, SIGNS, Time } from '../parts.tsx';
import { Filters } from './filters.tsx';
import { fieldsOf, kindsFor, newerPage, olderPage, type PageQuery } from './job-filter.ts';
import { Metadata } from './metadata.tsx';

/** How many characters of the message of a failed job a row has. */
const MOST_OF_MESSAGE = 140;

/** VERBS name what an action does, for buttons and sentences. */
export const VERBS: Record<ActionKind, string> = { cancel: 'Cancel', retry: 'Retry', delete: 'Delete' };

export interface JobsPageOptions {
  readonly visitor: Visitor;
  /** The configured models. */
  readonly models: readonly string[];
}

/** jobsPage makes the page that lists and filters jobs, and acts on many of them. */
export function jobsPage(page: JobPage, query: PageQuery, { visitor, models }: JobsPageOptions): Document {
  const { filter } = query;
  const what = filter.status ?? (filter.error === undefined ? 'all' : `failed: ${filter.error}`);
  return {
    title: `Jobs · ${what}${filter.q === undefined ? '' : ` · “${filter.q}”`}`,
    visitor,
    current: '/console/jobs',
    main: (
      <>
        <h1>Jobs</h1>
        <Filters query={query} models={models} isAdmin={visitor.isAdmin} />
        <Form method="get" to="/console/selection">
          {fieldsOf(filter).map(([name, value]) => (
            <input key={name} type="hidden" name={name} value={value} />
          ))}
          {page.jobs.length > 0 && <Many query={query} />}
          {page.jobs.length === 0 ? (
            <p class="quiet">
              {page.next_cursor === null ? 'No job matches.' : 'None of the jobs looked at so far matches.'}
            </p>
          ) : (
            <Table page={page} isAdmin={visitor.isAdmin} q={filter.q} />
          )}
        </Form>
        <Pages page={page} query={query} />
      </>
    ),
  };
}

/**
 * Many are the buttons that act on all jobs of the filter, or on the checked ones. Each leads to a question.
 */
function Many({ query: { filter } }: { query: PageQuery }) {
  return (
    <div class="actions">
      {kindsFor(filter).map((kind) => (
        <button key={kind} type="submit" name="kind" value={kind}>
          {VERBS[kind]} many…
        </button>
      ))}
      <span class="quiet">all that match, or those that are checked</span>
    </div>
  );
}

function Table({
  page: { jobs, searched },
  isAdmin,
  q,
}: {
  page: JobPage;
  isAdmin: boolean;
  q: string | undefined;
}) {
  const hasTenants = isAdmin && jobs.some(({ tenant }) => tenant !== null);
  // Columns without a value would take room from the questions.
  const hasTimes = jobs.some((job) => 'duration_ms' in job);
  const hasCosts = jobs.some(({ cost_usd: cost }) => cost !== null);
  return (
    <table class="list">
      <thead>
        <tr>
          <th scope="col">
            <span class="hidden">Checked</span>
          </th>
          <th scope="col">Status</th>
          <th scope="col">Question</th>
          <th scope="col">Model</th>
          {hasTenants && <th scope="col">Tenant</th>}
          <th scope="col">Created</th>
          {hasTimes && (
            <th scope="col" class="number">
              Took
            </th>
          )}
          {hasCosts && (
            <th scope="col" class="number">
              Cost
            </th>
          )}
          <th scope="col" class="id">
            Id
          </th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <tr key={job.id}>
            <td>
              <input type="checkbox" name="id" value={job.id} aria-label={`Check ${shortId(job.id)}`} />
            </td>
            <td class={job.status}>
              {SIGNS[job.status]} {statusWord(job)}
            </td>
            <td class="wide">
              <Link to={pagePathOf(job.id)}>{job.question === '' ? '(no question)' : job.question}</Link>
              <Excerpt text={searched?.excerpts?.[job.id]} q={q} />
              <Why job={job} />
              <Metadata job={job} pairs={3} characters={40} />
            </td>
            <td>{job.model}</td>
            {hasTenants && <td>{job.tenant}</td>}
            <td>
              <Time of={job.created_at} />
            </td>
            {hasTimes && <td class="number">{'duration_ms' in job ? durationText(job.duration_ms) : ''}</td>}
            {hasCosts && <td class="number">{job.cost_usd === null ? '' : formatUsd(job.cost_usd)}</td>}
            <td class="id">
              <code>{shortId(job.id)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Excerpt shows the match of a search that stands late in a question. */
function Excerpt({ text, q = '' }: { text: string | undefined; q: string | undefined }) {
  if (text === undefined) return null;
  const at = text.toLowerCase().indexOf(q.toLowerCase());
  if (at === -1) return <div class="quiet">{text}</div>;
  return (
    <div class="quiet">
      {text.slice(0, at)}
      <mark>{text.slice(at, at + q.length)}</mark>
      {text.slice(at + q.length)}
    </div>
  );
}

/** Why says why a job does not run, or of what it failed. */
function Why({ job }: { job: JobView }) {
  if (job.status === 'failed') {
    return (
      <div class="failed">
        <code>{job.error.code}</code>: {preview(job.error.message, MOST_OF_MESSAGE)}
      </div>
    );
  }
  if (job.status !== 'waiting' && job.status !== 'delayed') return null;
  return <div class="quiet">waits for {job.waiting_for}</div>;
}

function Pages({ page, query }: { page: JobPage; query: PageQuery }) {
  const newer = newerPage(query);
  const { searched, next_cursor: next } = page;
  return (
    <nav class="actions" aria-label="Pages of jobs">
      {newer !== undefined && (
        <Link to={newer} rel="prev">
          Newer
        </Link>
      )}
      {next !== null && (
        <Link to={olderPage(query, next)} rel="next">
          {searched === undefined ? 'Older' : 'Search on'}
        </Link>
      )}
      {searched !== undefined && (
        <span class="quiet">
          Looked at {numberText(searched.jobs)} jobs
          {searched.back_to === null ? ', to the end.' : ', back to '}
          {searched.back_to !== null && <Time of={searched.back_to} />}
          {searched.too_large !== undefined &&
            searched.too_large > 0 &&
            ` Of ${countText(searched.too_large, 'very large request')} only the first 100 characters of the question were looked through.`}
        </span>
      )}
    </nav>
  );
}

/** Ids differ most at their end. */
function shortId(id: string): string {
  return id.slice(-8);
}
