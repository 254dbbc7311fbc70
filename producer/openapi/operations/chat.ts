import { z } from 'zod';
import { queueHeaders } from '../../v1/responses/create-request.ts';
import { ackHeader, type Operation } from '../operation.ts';
import { CREATE_PROBLEMS } from './v1.ts';

const completion = z
  .looseObject({
    id: z.string().describe('`chatcmpl-` and the digits of the id of the response.'),
    object: z.literal('chat.completion'),
    created: z.int(),
    model: z.string(),
    choices: z.array(
      z.looseObject({
        index: z.int(),
        finish_reason: z.enum(['stop', 'length', 'tool_calls', 'content_filter']),
        message: z.looseObject({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.string().nullable(),
        }),
      }),
    ),
    usage: z
      .looseObject({ prompt_tokens: z.int(), completion_tokens: z.int(), total_tokens: z.int() })
      .optional(),
  })
  .meta({
    id: 'ChatCompletion',
    description: 'OpenAI’s chat completion; OpenAI documents its fields.',
  });
const body = z
  .looseObject({
    model: z.string().optional().describe('A configured model.'),
    messages: z.array(z.unknown()),
    stream: z.boolean().nullish(),
    stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  })
  .describe(
    'A body of OpenAI’s Chat Completions. What the Responses API cannot carry is refused by name: `n` above 1, ' +
      '`stop`, `logit_bias`, `frequency_penalty`, `presence_penalty`, `prediction`, `audio`, ' +
      '`web_search_options`, `functions`, `function_call`, and unknown parameters. `seed` is ignored.',
  );

export const createChatCompletion: Operation = {
  id: 'createChatCompletion',
  tag: 'OpenAI',
  summary: 'Create a chat completion, as OpenAI does',
  description:
    'The request becomes a response of the Responses API, which is a job like any other: ' +
    '`GET /v1/responses/resp_X` shows the chat completion `chatcmpl-X`. The connection is held until the ' +
    'answer is there, and a stream sends its first chunk within two seconds. A failed job is an HTTP error ' +
    'with `x-should-retry: false`; after the first chunk of a stream it is a last chunk with an `error`, ' +
    'without `[DONE]`. Reasoning is not part of a chat, so the model does not see its reasoning of earlier ' +
    'turns. ' +
    'A call whose connection breaks before its answer is delivered leaves its job, for ten minutes, to the ' +
    'next call with the same request.',
  headers: queueHeaders,
  body: {
    schema: body,
    examples: { question: { model: 'o3', messages: [{ role: 'user', content: 'Why is the sky blue?' }] } },
  },
  answers: {
    200: {
      description: 'The chat completion, or its chunks',
      content: { schema: completion, streamed: 'text/event-stream' },
      headers: ackHeader,
    },
  },
  refusals: 'envelope',
  passesRefusalsOn: true,
  problems: CREATE_PROBLEMS,
};
