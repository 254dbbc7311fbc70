import { z } from 'zod';

/** count is the schema of a number of things. */
export const count = z.int().min(0);

/** usage is the schema of the tokens of a response. Views and results have it. */
export const usage = z
  .strictObject({
    input_tokens: count.describe('Tokens of the request, cached ones included.'),
    cached_tokens: count.describe('Read from the upstream’s cache; part of `input_tokens`.'),
    cache_write_tokens: count.describe('Written to the upstream’s cache; part of `input_tokens`.'),
    cache_write_12h_tokens: count
      .optional()
      .describe(
        'Written to the cache for 12 hours; part of `cache_write_tokens`. Absent: the upstream does not say for how ' +
          'long.',
      ),
    output_tokens: count.describe('Tokens that the model wrote, its reasoning included.'),
    reasoning_tokens: count.describe('Part of `output_tokens`.'),
    total_tokens: count.describe('Tokens in all.'),
  })
  .meta({ id: 'Usage', description: 'Tokens as the upstream counted them.' });

const usd = z.number().min(0).nullable();

/** What completion windows have saved. */
const savings = {
  list_usd: usd.describe(
    'US dollars that the same would have cost without the discount of a completion window. null when `cost_usd` is.',
  ),
  saved_usd: usd.describe(
    'US dollars that the completion window has saved: `list_usd` less `cost_usd`. 0: it was bought at the full ' +
      'price. null when `cost_usd` is.',
  ),
};

/** jobCost are the fields of a job's view about what all its responses cost. */
export const jobCost = {
  cost_usd: usd.describe(
    'US dollars spent on the job, including earlier attempts and retries by hand. null: nothing is known, or ' +
      'the price is unknown.',
  ),
  ...savings,
  cost_estimated: z
    .boolean()
    .describe(
      'Whether a part of `cost_usd` is estimated. Either the upstream did not report the usage of a response that ' +
        'was cancelled or lost: the estimate is what was reserved for it, or what was streamed, and it is ' +
        'corrected once the upstream reports the usage. Or the reply does not confirm the price, as it names no ' +
        'completion window.',
    ),
};

/** responseCost are the fields of a result about what its response used and cost. */
export const responseCost = {
  usage: usage.nullable().describe('What the response used; null: the upstream did not report it.'),
  cost_usd: usd.describe(
    'US dollars for this response, by the price of its model and service tier. null: the upstream did ' +
      'not report usage, or the price is unknown.',
  ),
  ...savings,
  cost_estimated: z
    .boolean()
    .describe(
      'Whether `cost_usd` is estimated, because the reply does not confirm the price: it never names the completion ' +
        'window, OpenAI has published no price of the tier for this model, or the reply does not say for how long ' +
        'the cache was written.',
    ),
};

/** jobError is the schema of why a job failed. */
export const jobError = z.strictObject({
  code: z.string().describe('Stable; docs/ERRORS.md lists all codes.'),
  message: z.string().describe('What happened, for people.'),
  retryable: z
    .boolean()
    .describe(
      'Whether the same request could have worked at another time. Either way the job may be retried by' +
        ' hand.',
    ),
});
