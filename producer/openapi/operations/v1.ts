import { z } from 'zod';
import { queueHeaders } from '../../v1/responses/create-request.ts';
import { ackHeader, type Operation } from '../operation.ts';

const response = z
  .looseObject({
    id: z.string(),
    object: z.literal('response'),
    created_at: z.int(),
    status: z.enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled']),
    background: z.boolean(),
    error: z.looseObject({ code: z.string(), message: z.string() }).nullable(),
    output: z.array(z.unknown()),
  })
  .meta({
    id: 'Response',
    description: 'OpenAI’s Response object; OpenAI documents its fields.',
  });
const model = z
  .strictObject({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .meta({ id: 'Model' });
const events = 'text/event-stream';
const body = z
  .looseObject({
    model: z.string().optional().describe('A configured model.'),
    input: z.unknown().optional(),
    background: z.boolean().nullish(),
    stream: z.boolean().nullish(),
  })
  .describe('Any body of OpenAI’s Responses API. Fields that are not listed go to the upstream untouched.');

const answered = (description: string, mediaType?: string): Operation['answers'] => ({
  200: {
    description,
    content: { schema: response, ...(mediaType !== undefined && { streamed: mediaType }) },
  },
});

/** CREATE_PROBLEMS are the refusals of a call that makes a response, here and in a chat. */
export const CREATE_PROBLEMS: NonNullable<Operation['problems']> = [
  'unknown_model',
  'idempotency_key_reused',
  'budget_exhausted',
  'too_many_waiting',
  'too_much_stored',
  'too_many_streams',
  'answer_damaged',
  'storage_full',
  'redis_unavailable',
];

export const createResponse: Operation = {
  id: 'createResponse',
  tag: 'OpenAI',
  summary: 'Create a response, as OpenAI does',
  description:
    'In the background or in the foreground, streamed or not. In the foreground the connection is held ' +
    'until the response has ended. The response is a job like any other. A stream has the answer of one ' +
    'attempt only: when an attempt fails after a part of its answer was sent, the stream ends with an ' +
    '`error` event whose code is `attempt_failed`, and the response continues with its next attempt. A call ' +
    'whose connection breaks before its answer is delivered leaves its job, for ten minutes, to the next ' +
    'call with the same request.',
  headers: queueHeaders,
  body: {
    schema: body,
    examples: { background: { model: 'o3', input: 'Why is the sky blue?', background: true } },
  },
  answers: {
    200: {
      description: 'The response: queued in the background, else finished',
      content: { schema: response, streamed: events },
      headers: ackHeader,
    },
  },
  refusals: 'envelope',
  passesRefusalsOn: true,
  problems: CREATE_PROBLEMS,
};

export const retrieveResponse: Operation = {
  id: 'retrieveResponse',
  tag: 'OpenAI',
  summary: 'Retrieve a response, as OpenAI does',
  description:
    'With `stream=true` the answer is the response’s stream, for as long as the job is kept: the latest ' +
    'attempt from its beginning, or what follows an event.',
  query: z.looseObject({
    stream: z.string().optional(),
    starting_after: z
      .string()
      .optional()
      .describe(
        'The `sequence_number` of the last event that the caller has seen. After an event of a failed attempt ' +
          'the stream has the rest of that attempt and its `error` event.',
      ),
  }),
  answers: answered('The response in its current state', events),
  refusals: 'envelope',
  problems: ['job_not_found', 'too_many_streams', 'answer_damaged', 'redis_unavailable'],
};

export const cancelResponse: Operation = {
  id: 'cancelResponse',
  tag: 'OpenAI',
  summary: 'Cancel a response, as OpenAI does',
  answers: answered('The cancelled response'),
  refusals: 'envelope',
  problems: ['invalid_request', 'job_not_found', 'answer_damaged', 'redis_unavailable'],
};

export const deleteResponse: Operation = {
  id: 'deleteResponse',
  tag: 'OpenAI',
  summary: 'Delete a response, as OpenAI does',
  answers: {
    200: {
      description: 'Deleted',
      content: {
        schema: z.strictObject({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) }),
      },
    },
  },
  refusals: 'envelope',
  problems: ['invalid_request', 'job_not_found', 'answer_damaged', 'redis_unavailable'],
};

export const listInputItems: Operation = {
  id: 'listInputItems',
  tag: 'OpenAI',
  summary: 'List the input of a response, as OpenAI does',
  query: z.looseObject({
    limit: z.string().optional().describe('1 to 100. Default 20.'),
    order: z.string().optional().describe('`asc` or `desc`. Default `desc`.'),
    after: z.string().optional().describe('The id of the last item of the page before.'),
  }),
  answers: {
    200: {
      description: 'A page of items',
      content: {
        schema: z.strictObject({
          object: z.literal('list'),
          data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
          first_id: z.string().nullable(),
          last_id: z.string().nullable(),
          has_more: z.boolean(),
        }),
      },
    },
  },
  refusals: 'envelope',
  problems: ['job_not_found', 'answer_damaged', 'redis_unavailable'],
};

export const listModels: Operation = {
  id: 'listModels',
  tag: 'OpenAI',
  summary: 'List the configured models, as OpenAI does',
  answers: {
    200: {
      description: 'The configured models',
      content: { schema: z.strictObject({ object: z.literal('list'), data: z.array(model) }) },
    },
  },
  refusals: 'envelope',
};

export const retrieveModel: Operation = {
  id: 'retrieveModel',
  tag: 'OpenAI',
  summary: 'Retrieve a model, as OpenAI does',
  answers: { 200: { description: 'The model', content: { schema: model } } },
  refusals: 'envelope',
  problems: ['unknown_model'],
};
