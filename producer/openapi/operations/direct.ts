import { z } from 'zod';
import { UPSTREAM_HEADER_NAMES } from '../../../src/job/fields/upstream-headers.ts';
import type { HttpProblemCode } from '../../http/http-problem.ts';
import type { Operation } from '../operation.ts';

/** The routes of `/v1` that the producer hands to the upstream at once. */

const headers = z.object(
  Object.fromEntries(
    UPSTREAM_HEADER_NAMES.map((name) => [
      name,
      z.string().optional().describe('Is passed to the upstream with this call.'),
    ]),
  ),
);
const body = z
  .looseObject({
    model: z.string().nullish().describe('A configured model. Default: `defaultModel` of the configuration.'),
    previous_response_id: z
      .string()
      .nullish()
      .describe(
        'The id of a response of this queue, or the upstream’s own id of one that your jobs have bought.',
      ),
  })
  .describe('Fields that are not listed go to the upstream untouched.');
const problems: readonly HttpProblemCode[] = ['unknown_model', 'too_many_requests', 'redis_unavailable'];
const common =
  'It makes no job and reserves no quota. A producer without `OPENAI_API_KEY` and `OPENAI_BASE_URL` answers ' +
  '501, and so it does for an upstream without this route. 502 and 504: the upstream was not reached, or was ' +
  'too slow.';

export const countInputTokens: Operation = {
  id: 'countInputTokens',
  tag: 'OpenAI',
  summary: 'Count the input tokens of a request, at the upstream',
  description: `The producer hands the call to the upstream, for 30 s at most. ${common}`,
  headers,
  body: { schema: body, examples: { question: { model: 'o3', input: 'Why is the sky blue?' } } },
  answers: {
    200: {
      description: 'The number of tokens',
      content: {
        schema: z.looseObject({ object: z.literal('response.input_tokens'), input_tokens: z.int() }),
      },
    },
  },
  refusals: 'envelope',
  passesRefusalsOn: true,
  problems,
};

export const compactResponse: Operation = {
  id: 'compactResponse',
  tag: 'OpenAI',
  summary: 'Compact a conversation, at the upstream',
  description:
    `The producer hands the call to the upstream, for 300 s at most. ${common} The upstream runs a model for ` +
    'it: what that costs counts in the usage and the daily budget of the tenant. A call that may have been ' +
    'paid for is never sent again.',
  headers,
  body: {
    schema: body,
    examples: { conversation: { model: 'o3', input: [{ role: 'user', content: 'Why is the sky blue?' }] } },
  },
  answers: {
    200: {
      description: 'The compacted conversation, to be sent as the input of the next request',
      content: {
        schema: z.looseObject({
          id: z.string(),
          object: z.literal('response.compaction'),
          created_at: z.int(),
          output: z.array(z.unknown()),
        }),
      },
    },
  },
  refusals: 'envelope',
  passesRefusalsOn: true,
  problems: [...problems, 'budget_exhausted'],
};
