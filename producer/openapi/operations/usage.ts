import { z } from 'zod';
import { MOST_USAGE_DAYS, USAGE_DIMENSIONS } from '../../../src/usage/report.ts';
import type { Operation } from '../operation.ts';

const day = z.iso.date();
const count = z.int().min(0);

/** The report checks the range as a whole, so the schema does not. */
const dayText = z.string().max(100);

export const usageQuery = z.strictObject({
  from: dayText.optional().describe('The first day, `YYYY-MM-DD` in UTC; default: 29 days before `to`.'),
  to: dayText
    .optional()
    .describe(`The last day; default: today. A report has ${MOST_USAGE_DAYS} days at most.`),
  by: z
    .enum(USAGE_DIMENSIONS)
    .optional()
    .describe('What the rows are grouped by; default: day, model and tenant.'),
});

const sums = {
  requests: count.describe('Responses that ended, in any way.'),
  input_tokens: count,
  cached_tokens: count.describe('Part of `input_tokens`.'),
  output_tokens: count,
  reasoning_tokens: count.describe('Part of `output_tokens`.'),
  cost_usd: z
    .number()
    .min(0)
    .nullable()
    .describe(
      'The cost of the responses with a price and a usage, known or estimated; null: there are no such responses.',
    ),
  list_usd: z
    .number()
    .min(0)
    .nullable()
    .describe(
      'What these responses would have cost without the discounts of their completion windows; null when ' +
        '`cost_usd` is.',
    ),
  saved_usd: z.number().min(0).describe('What the discounts have saved: `list_usd` less `cost_usd`.'),
  unpriced_requests: count.describe(
    'Responses that failed, and those without a known price. The cost does not include them.',
  ),
  estimated_requests: count.describe(
    'Responses whose cost is estimated. For a cancelled one the upstream may not report the usage: what was ' +
      'reserved for it, or streamed, counts in all sums, until the upstream says what was used. For others the ' +
      'reply does not confirm the price: it does not name the completion window, for example.',
  ),
  estimated_usd: z.number().min(0).describe('The part of `cost_usd` that is estimated.'),
};

const report = z
  .strictObject({
    from: day,
    to: day,
    currency: z.literal('usd'),
    total: z.strictObject(sums),
    rows: z.array(
      z.strictObject({
        day: day.optional().describe('The day on which the response ended, in UTC.'),
        model: z.string().optional().describe('The model that was asked for.'),
        tenant: z.string().nullable().optional().describe('null: no tenant.'),
        ...sums,
      }),
    ),
  })
  .meta({ id: 'UsageReport' });

const used = {
  requests: 1,
  input_tokens: 13,
  cached_tokens: 0,
  output_tokens: 843,
  reasoning_tokens: 832,
  ...{ cost_usd: 0.00677, list_usd: 0.00677, saved_usd: 0 },
  unpriced_requests: 0,
  estimated_requests: 0,
  estimated_usd: 0,
};

export const getUsage: Operation = {
  id: 'getUsage',
  tag: 'jobs',
  summary: 'Report what was used, and what it cost',
  description:
    'Reports the caller’s own usage, or everything for `admin`. Each response counts once, on the day ' +
    'on which it ended; a retry by hand counts again.',
  query: usageQuery,
  answers: {
    200: {
      description: 'The sums',
      content: {
        schema: report,
        examples: {
          day: {
            from: '2026-03-01',
            to: '2026-03-30',
            currency: 'usd',
            total: used,
            rows: [{ day: '2026-03-01', model: 'o3', tenant: null, ...used }],
          },
        },
      },
    },
  },
  problems: ['redis_unavailable'],
};
