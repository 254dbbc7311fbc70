import { z } from 'zod';

/** count is the schema of a number of things. */
export const count = z.int().min(0);

/** usage is the schema of the tokens of a response. Views and results have it. */
export const usage = z
  .strictObject({
    input_tokens: count,
    cached_tokens: count.describe('Read from the upstream’s cache; part of `input_tokens`.'),
    cache_write_tokens: count.describe('Written to the upstream’s cache; part of `input_tokens`.'),
    cache_write_12h_tokens: count
      .optional()
      .describe(
        'Written to the cache for 12 hours; part of `cache_write_tokens`. Absent: the upstream does not say for how ' +
          'long.',
      ),
    output_tokens: count,
    reasoning_tokens: count.describe('Part of `output_tokens`.'),
    total_tokens: count,
  })
  .meta({ id: 'Usage', description: 'Tokens as the upstream counted them.' });

/** jobError is the schema of why a job failed. */
export const jobError = z.strictObject({
  code: z.string().describe('Stable; docs/ERRORS.md lists all codes.'),
  message: z.string(),
  retryable: z
    .boolean()
    .describe(
      'Whether the same request could have worked at another time. Either way the job may be retried by' +
        ' hand.',
    ),
});
