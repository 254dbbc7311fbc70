import { Fragment } from 'preact';
import { preview } from '../../../src/errors/preview.ts';
import type { JobView } from '../../../src/job/view.ts';
import { Link } from '../parts.tsx';

/**
 * Metadata shows the pairs of a job's metadata. Each leads to the jobs that have it: those of one agent, for
 * example.
 *
 * @param pairs how many pairs are shown. Default: all.
 * @param characters how many characters of each pair are shown. Default: all.
 */
export function Metadata({
  job,
  pairs = Number.POSITIVE_INFINITY,
  characters = Number.POSITIVE_INFINITY,
}: {
  job: JobView;
  pairs?: number;
  characters?: number;
}) {
  const shown = Object.entries(job.metadata).slice(0, pairs);
  if (shown.length === 0) return null;
  return (
    <div class="quiet">
      {shown.map(([key, value], place) => (
        <Fragment key={key}>
          {place > 0 && ' · '}
          <Link to={`/console/jobs?${new URLSearchParams({ [`metadata[${key}]`]: value })}`}>
            {preview(`${key}=${value}`, characters)}
          </Link>
        </Fragment>
      ))}
    </div>
  );
}
