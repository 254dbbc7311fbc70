import { z } from 'zod';
import { checkedInput } from '../../src/errors/input.ts';
import type { JobQuery } from '../../src/job/job-queue.ts';
import { jobFilter } from '../../src/job-store/filter.ts';

/** The longest wait of a caller, in seconds: many proxies give up after about this time. */
const LONGEST_WAIT_S = 300;
const MOST_PER_PAGE = 100;

export const waitQuery = z.strictObject({
  wait: numberText(/^\d+(\.\d+)?$/, 'number', 0, LONGEST_WAIT_S, 'number of seconds')
    .default(0)
    .describe('Answer as soon as the job is finished, at the latest after this many seconds.'),
});

export const enqueueQuery = waitQuery.extend({
  quote: z
    .literal('1')
    .optional()
    .describe('Enqueues nothing, and answers what the job would cost and when it would be answered.'),
});

export const listQuery = jobFilter.omit({ metadata: true }).extend({
  'metadata[KEY]': z
    .string()
    .max(512)
    .optional()
    .describe(
      'Jobs with this value in the metadata of that key, as in `metadata[customer]=4711`; up to 16 keys.',
    ),
  id: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Jobs whose id begins or ends with this; the `job_` at its beginning may be left out. The list ends ' +
        'with `limit` jobs; `next_cursor` is there if the time of the call ended before all ids were looked at.',
    ),
  limit: numberText(/^\d+$/, 'integer', 1, MOST_PER_PAGE, 'whole number')
    .optional()
    .describe('Jobs per page; default 20.'),
  cursor: z.string().max(1000).optional().describe('`next_cursor` of the page before.'),
});

/** A parameter of a query that names a key of metadata. */
const METADATA = /^metadata\[(.+)\]$/s;

/**
 * jobQueryFrom checks the query of a list of jobs.
 * @throws {QueueError} `invalid_request`
 */
export function jobQueryFrom(query: Record<string, unknown>): JobQuery {
  const isPair = ([name]: [string, unknown]): boolean => METADATA.test(name);
  const pairs = Object.entries(query)
    .filter(isPair)
    .map(([name, value]) => [METADATA.exec(name)?.[1] ?? '', value]);
  const others = Object.fromEntries(Object.entries(query).filter((entry) => !isPair(entry)));
  const checked = checkedInput('query', others, listQuery);
  if (pairs.length === 0) return checked;
  const { metadata } = checkedInput('query', { metadata: Object.fromEntries(pairs) }, metadataOnly);
  return { ...checked, metadata };
}

const metadataOnly = jobFilter.pick({ metadata: true });

export const noQuery = z.strictObject({});

/**
 * numberText parses a number of a query. JavaScript's own conversion would also accept `0x10`, a blank or an
 * empty text.
 */
function numberText(form: RegExp, type: 'integer' | 'number', least: number, most: number, what: string) {
  const expected = `expected one ${what} from ${least} to ${most}`;
  return z
    .string(expected)
    .regex(form, expected)
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected)
    .meta({
      override({ jsonSchema }) {
        Object.assign(jsonSchema, { type, minimum: least, maximum: most });
        delete jsonSchema.pattern;
      },
    });
}
