import { z } from 'zod';
import type { Quote } from '../../src/usage/quote.ts';

const count = z.int().min(0);
const usd = z.number().min(0).nullable();

const quotedWindow = z.strictObject({
  completion_window: z.string().describe('`soonest`, `2h` or `8h`.'),
  discount: z.number().min(0).max(1).describe('0.4 for 40 %.'),
  expected_usd: usd,
  most_usd: usd,
  saved_usd: usd.describe('How much less the job is expected to cost than as `soonest`.'),
  answer_by: z.iso.datetime().nullable().describe('When the answer is expected. null: unknown.'),
});

/** quote is the schema of a Quote. */
export const quote = z
  .strictObject({
    model: z.string().describe('The model that was asked for.'),
    upstream_model: z.string().describe('The upstream model that would be bought from.'),
    input_tokens: count,
    input_basis: z.string().describe('Whether the upstream has counted the input, or it is estimated.'),
    is_long_input: z
      .boolean()
      .describe(
        'Whether the input has more than 272,000 tokens. OpenAI’s current models then charge twice as much for all ' +
          'input, and one and a half times as much for the output.',
      ),
    output_tokens: count.describe('What the job is expected to write, reasoning included.'),
    output_basis: z.string().describe('Where `output_tokens` come from.'),
    most_output_tokens: count.nullable().describe('`max_output_tokens` of the request. null: any output.'),
    completion_window: z
      .string()
      .describe('The window that would be taken: by `needed_by`, or because the request names it.'),
    expected_usd: usd.describe('What the job costs in that window. null: the price is unknown.'),
    most_usd: usd.describe('The same with the largest output. null: any output, or the price is unknown.'),
    windows: z.array(quotedWindow).describe('What the model offers for this request, the shortest first.'),
    no_windows_until: z.iso
      .datetime()
      .nullable()
      .describe(
        'Until when the queue chooses no window, because the upstream has refused one. null: it may.',
      ),
    waiting_for: z.string().describe('What the job would wait for first.'),
    position: z.int().min(1).nullable().describe('Its estimated position in the fair queue.'),
    eta_ms: count.nullable().describe('Milliseconds until the answer as `soonest`. null: unknown.'),
    eta_basis: z.string().nullable().describe('What that is based on.'),
  })
  .meta({ id: 'Quote', description: 'What a job would cost, if it were enqueued now. Nothing is stored.' });

export const quoteExample: Quote = {
  ...{ model: 'sol', upstream_model: 'gpt-6.2-sol' },
  ...{ input_tokens: 1240, input_basis: 'counted by the upstream', is_long_input: false },
  ...{ output_tokens: 2100, output_basis: 'the mean of earlier answers', most_output_tokens: 20_000 },
  ...{ completion_window: '8h', expected_usd: 0.014088, most_usd: 0.12186 },
  windows: [
    {
      ...{ completion_window: 'soonest', discount: 0, expected_usd: 0.02348, most_usd: 0.2031 },
      ...{ saved_usd: 0, answer_by: '2026-03-01T18:00:52.000Z' },
    },
    {
      ...{ completion_window: '2h', discount: 0.3, expected_usd: 0.016436, most_usd: 0.14217 },
      ...{ saved_usd: 0.007044, answer_by: '2026-03-01T20:00:04.000Z' },
    },
    {
      ...{ completion_window: '8h', discount: 0.4, expected_usd: 0.014088, most_usd: 0.12186 },
      ...{ saved_usd: 0.009392, answer_by: '2026-03-02T02:00:04.000Z' },
    },
  ],
  no_windows_until: null,
  ...{ waiting_for: 'its turn: 4 jobs before it', position: 5, eta_ms: 52_000 },
  eta_basis: '4 jobs before it at 1 start per second, then 48 s for the answer',
};
