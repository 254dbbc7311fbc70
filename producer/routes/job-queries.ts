import { z } from 'zod';
import { JOB_STATUSES } from '../../src/job/job.ts';
import { TENANT_NAME } from '../../src/job/tenant.ts';

/** The longest wait of a caller, in seconds: many proxies give up after about this time. */
const LONGEST_WAIT_S = 300;
const MOST_PER_PAGE = 100;

export const waitQuery = z.strictObject({
  wait: numberText(/^\d+(\.\d+)?$/, 'number', 0, LONGEST_WAIT_S, 'number of seconds')
    .default(0)
    .describe('Answer as soon as the job is finished, at the latest after this many seconds.'),
});

export const listQuery = z.strictObject({
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
    .describe('Jobs with this text in the first 100 characters of the question, in upper or lower case.'),
  id: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe(
      'Jobs whose id begins or ends with this; the `job_` at its beginning may be left out. There is one page of ' +
        'them, of `limit` jobs at most.',
    ),
  limit: numberText(/^\d+$/, 'integer', 1, MOST_PER_PAGE, 'whole number')
    .optional()
    .describe('Jobs per page; default 20.'),
  cursor: z.string().max(1000).optional().describe('`next_cursor` of the page before.'),
});

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
    .meta({ override: { type, minimum: least, maximum: most, pattern: undefined } });
}
