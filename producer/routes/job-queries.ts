import { z } from 'zod';
import { JOB_STATUSES } from '../../src/job/job.ts';
import { TENANT_NAME } from '../../src/job/tenant.ts';

/** The longest that a caller may be kept waiting, in seconds: proxies on the way give up at about that. */
const LONGEST_WAIT_S = 300;
const MOST_PER_PAGE = 100;

export const waitQuery = z.strictObject({
  wait: numberText(/^\d+(\.\d+)?$/, 'number', 0, LONGEST_WAIT_S, 'number of seconds')
    .default(0)
    .describe('Answer as soon as the job is finished, at the latest after so many seconds.'),
});

export const listQuery = z.strictObject({
  status: z.enum(JOB_STATUSES).optional().describe('Jobs in this status only.'),
  model: z.string().optional().describe('Jobs of this model only.'),
  tenant: z
    .string()
    .regex(TENANT_NAME, "expected a tenant's name")
    .optional()
    .describe('Jobs of this tenant only; of another than oneself for `admin`.'),
  q: z
    .string()
    .max(100)
    .optional()
    .describe('Looked for in the first 100 characters of the question, whatever the case.'),
  limit: numberText(/^\d+$/, 'integer', 1, MOST_PER_PAGE, 'whole number')
    .optional()
    .describe('Jobs a page; default 20.'),
  cursor: z.string().max(1000).optional().describe('`next_cursor` of the page before.'),
});

export const noQuery = z.strictObject({});

/** A query holds texts, and JavaScript reads `0x10`, a blank and nothing at all as numbers too. */
function numberText(form: RegExp, type: 'integer' | 'number', least: number, most: number, what: string) {
  const expected = `expected one ${what} from ${least} to ${most}`;
  return z
    .string(expected)
    .regex(form, expected)
    .transform(Number)
    .refine((value) => value >= least && value <= most, expected)
    .meta({ override: { type, minimum: least, maximum: most, pattern: undefined } });
}
