import { z } from 'zod';
import { checkedInput, refusalOf, shown } from '../errors/input.ts';
import { JOB_STATUSES } from '../job/job.ts';
import type { JobFilter, JobQuery } from '../job/job-queue.ts';
import { TENANT_NAME } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import { queueNamed } from '../model-queue/queue-access.ts';

const MOST_PAIRS = 16;

/** time reads a time of a filter: ISO 8601 with its zone. */
const time = z.iso.datetime({
  offset: true,
  error: 'expected a time in ISO 8601 with its zone, such as 2027-01-31T12:00:00Z',
});

/** jobFilter is the schema of a JobFilter. */
export const jobFilter = z
  .strictObject({
    status: z.enum(JOB_STATUSES).optional().describe('Jobs in this status only.'),
    model: z.string().optional().describe('Jobs of this model only.'),
    tenant: z
      .string()
      .regex(TENANT_NAME, "expected a tenant's name")
      .optional()
      .describe('Jobs of this tenant only; only `admin` may name another tenant.'),
    q: z
      .string()
      .max(100)
      .optional()
      .describe(
        'Jobs with this text in the question, in upper or lower case. Of a job with more than 256 KB of data ' +
          'only the first 100 characters of the question are looked through.',
      ),
    error: z.string().max(100).optional().describe('Jobs that failed with this code (docs/ERRORS.md).'),
    metadata: z
      .record(z.string().min(1).max(64), z.string().max(512))
      .refine((pairs) => Object.keys(pairs).length <= MOST_PAIRS, `expected at most ${MOST_PAIRS} pairs`)
      .optional()
      .describe('Jobs with these pairs of metadata. Jobs of other BullMQ clients are not found by it.'),
    since: time.optional().describe('Jobs that were created at this time or later.'),
    until: time.optional().describe('Jobs that were created before this time.'),
  })
  .meta({ id: 'JobFilter', description: 'Selects jobs; without fields, all of them.' });

/** The most jobs on a page of a list. */
const MOST_PER_PAGE = 100;

const jobQuery = jobFilter.extend({
  id: z.string().min(1).max(100).optional(),
  limit: z.int().min(1).max(MOST_PER_PAGE).optional(),
  cursor: z.string().max(1000).optional(),
});

/**
 * checkedQuery checks the query of a list. @returns the query, with the configured name of its model.
 *
 * @throws {QueueError} `invalid_request`, with every flaw.
 */
export function checkedQuery(query: JobQuery, queues: ReadonlyMap<string, ModelQueue>): JobQuery {
  checkedInput('query', query, jobQuery);
  return withConfiguredName('query', query, queues);
}

/**
 * checkedFilter checks a filter. @returns the filter, with the configured name of its model.
 *
 * @throws {QueueError} `invalid_request`, with every flaw.
 */
export function checkedFilter(filter: JobFilter, queues: ReadonlyMap<string, ModelQueue>): JobFilter {
  checkedInput('filter', filter, jobFilter);
  return withConfiguredName('filter', filter, queues);
}

function withConfiguredName<Filter extends JobFilter>(
  subject: string,
  filter: Filter,
  queues: ReadonlyMap<string, ModelQueue>,
): Filter {
  const { model: name } = filter;
  if (name === undefined) return filter;
  const model = queueNamed(name, queues)?.model;
  if (model !== undefined) return model === name ? filter : { ...filter, model };
  const message = `expected one of ${[...queues.keys()].join(', ')}, got ${shown(name)}`;
  throw refusalOf(subject, [{ path: 'model', message }]);
}
