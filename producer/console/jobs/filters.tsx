import { JOB_STATUSES } from '../../../src/job/job.ts';
import { Form, Link, When } from '../parts.tsx';
import type { PageQuery } from './job-filter.ts';

/** Filters is the form of the page of jobs. Its fields are kept in the address. */
export function Filters({
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
          <When name="since" label="Created since" value={filter.since} />
          <When name="until" label="Created before" value={filter.until} />
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
