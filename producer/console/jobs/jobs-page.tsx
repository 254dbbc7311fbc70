import { durationText, numberText } from '../../../src/client/quantity.ts';
import type { ActionKind } from '../../../src/job/action.ts';
import { JOB_STATUSES } from '../../../src/job/job.ts';
import type { JobPage, JobView } from '../../../src/job/view.ts';
import { formatUsd } from '../../../src/usage/usd.ts';
import type { Document } from '../document.tsx';
import { pagePathOf } from '../job-page.tsx';
import { statusWord } from '../live-job.tsx';
import type { Visitor } from '../navigation.tsx';
import { Form, Link, SIGNS, Time } from '../parts.tsx';
import { fieldsOf, kindsFor, newerPage, olderPage, type PageQuery } from './job-filter.ts';

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
            <Table jobs={page.jobs} isAdmin={visitor.isAdmin} />
          )}
        </Form>
        <Pages page={page} query={query} />
      </>
    ),
  };
}

function Filters({
  query: { filter },
  models,
  isAdmin,
}: {
  query: PageQuery;
  models: readonly string[];
  isAdmin: boolean;
}) {
  const pairs = Object.entries(filter.metadata ?? {});
  const [first] = pairs;
  return (
    <Form class="filters" method="get" to="/console/jobs" aria-label="Filters">
      <label>
        Question
        <br />
        <input type="search" name="q" value={filter.q ?? ''} maxLength={100} />
      </label>
      <Choice name="status" label="Status" values={JOB_STATUSES} chosen={filter.status} />
      <Choice name="model" label="Model" values={models} chosen={filter.model} />
      <details open={[filter.error, filter.tenant, filter.since, filter.until, first].some(Boolean)}>
        <summary>More filters</summary>
        <div class="filters">
          <Text name="error" label="Error code" value={filter.error} />
          {isAdmin && <Text name="tenant" label="Tenant" value={filter.tenant} />}
          <Text name="pair" label="Metadata (key=value)" value={first && `${first[0]}=${first[1]}`} />
          {pairs.slice(1).map(([key, value]) => (
            <input key={key} type="hidden" name={`metadata[${key}]`} value={value} />
          ))}
          <Text name="since" label="Since (ISO 8601)" value={filter.since} />
          <Text name="until" label="Until (ISO 8601)" value={filter.until} />
        </div>
      </details>
      <button type="submit">Show</button>
      <Link to="/console/jobs">All jobs</Link>
    </Form>
  );
}

function Text({ name, label, value }: { name: string; label: string; value: string | undefined }) {
  return (
    <label>
      {label}
      <br />
      <input type="text" name={name} value={value ?? ''} />
    </label>
  );
}

function Choice({
  name,
  label,
  values,
  chosen,
}: {
  name: string;
  label: string;
  values: readonly string[];
  chosen: string | undefined;
}) {
  return (
    <label>
      {label}
      <br />
      <select name={name}>
        <option value="">any</option>
        {values.map((value) => (
          <option key={value} value={value} selected={value === chosen}>
            {value}
          </option>
        ))}
      </select>
    </label>
  );
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

function Table({ jobs, isAdmin }: { jobs: readonly JobView[]; isAdmin: boolean }) {
  const hasTenants = isAdmin && jobs.some(({ tenant }) => tenant !== null);
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
          <th scope="col" class="number">
            Took
          </th>
          <th scope="col" class="number">
            Cost
          </th>
          <th scope="col">Id</th>
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
              <Why job={job} />
            </td>
            <td>{job.model}</td>
            {hasTenants && <td>{job.tenant}</td>}
            <td>
              <Time of={job.created_at} />
            </td>
            <td class="number">{'duration_ms' in job ? durationText(job.duration_ms) : ''}</td>
            <td class="number">{job.cost_usd === null ? '' : formatUsd(job.cost_usd)}</td>
            <td>
              <code>{shortId(job.id)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Why says why a job does not run, or of what it failed. */
function Why({ job }: { job: JobView }) {
  if (job.status === 'failed') {
    return (
      <div class="failed">
        <code>{job.error.code}</code>
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
        </span>
      )}
    </nav>
  );
}

/** Ids differ most at their end. */
function shortId(id: string): string {
  return id.slice(-8);
}
