import { z } from 'zod';
import { checkedInput, refusalOf } from '../errors/input.ts';
import { isJsonObject, withPlainNumbers } from './exact-json.ts';
import { metadata } from './fields/metadata.ts';
import { saysWhenLate, timeOptions } from './fields/times.ts';
import { upstreamHeaders } from './fields/upstream-headers.ts';
import { webhookUrl } from './fields/webhook-url.ts';
import {
  chainField,
  type NamedUpstreamIds,
  upstreamIdFields,
  withUpstreamIds,
} from './ids/named-responses.ts';
import type { JobRequest, QuestionRequest, ResponsesRequest } from './job-request.ts';

export type { BulkRequest, JobRequest } from './job-request.ts';

/** BullMQ's largest priority. BullMQ 6.7.0 throws for larger numbers. */
const MAX_PRIORITY = 2_097_151;
/** Node's largest timer, about 24.8 days; a longer timer would fire at once. */
const MAX_TIMER_MS = 2_147_483_647;
const MAX_DELAY_MS = 366 * 24 * 3_600_000;
/**
 * The greatest depth of a request. Deeper JSON can be parsed, but writing it overflows JavaScript's stack.
 */
const MOST_LEVELS = 200;

/** Options that are stored in the job's data, where the worker reads them. */
const runOptions = {
  stream: z
    .boolean()
    .optional()
    .describe('Whether the answer is streamed from the upstream. Default: true; in a bulk: false.'),
  timeout_ms: z
    .int()
    .min(1)
    .max(MAX_TIMER_MS)
    .optional()
    .describe('How long one attempt may take, in milliseconds. Default: the model’s setting.'),
  ...timeOptions,
  upstream_headers: upstreamHeaders.optional(),
};

export const REASONING_EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

const questionFields = {
  question: z
    .string()
    .refine((text) => text.trim() !== '', 'expected a question, got an empty text')
    .describe('The question, in plain words.'),
  context: z.string().optional().describe('What the model reads before the question.'),
  instructions: z.string().optional().describe('How the model should behave.'),
  reasoning_effort: z
    .enum(REASONING_EFFORTS)
    .optional()
    .describe('How much the model reasons before it answers. Default: the upstream’s.'),
  max_output_tokens: z.int().min(16).optional().describe('The limit of the answer, reasoning included.'),
  metadata: metadata.optional(),
};

/**
 * Any body of the Responses API. The upstream checks its fields, except for those that this queue reads or
 * sets.
 */
const responsesBody = z
  .looseObject({
    model: z.string().min(1).optional().describe('A configured model. `model` beside the body counts first.'),
    input: z
      .union([z.string().min(1), z.array(z.unknown()).min(1)], 'expected a text or a list of items')
      .optional()
      .describe('A text or a list of items. Needed unless there is a `prompt`.'),
    stream: z
      .boolean()
      .nullish()
      .describe('Whether the answer is streamed from the upstream. `stream` beside the body counts first.'),
    background: z
      .boolean()
      .nullish()
      .describe('Not sent to the upstream: the worker decides whether a response runs in the background.'),
    metadata: metadata.nullish().describe('Kept with the job and sent to the upstream.'),
  })
  .refine(
    (body) => body.input !== undefined || body['prompt'] !== undefined,
    'expected "input" (or "prompt"), got neither',
  )
  .refine((body) => !isDeeperThan(MOST_LEVELS, body), `expected at most ${MOST_LEVELS} levels, got more`)
  .describe('Any body of OpenAI’s Responses API. Fields that are not listed go to the upstream untouched.');

const queueOptions = {
  model: z
    .string()
    .min(1)
    .optional()
    .describe('A configured model. Default: `defaultModel` of the configuration.'),
  priority: z
    .int()
    .min(0)
    .max(MAX_PRIORITY)
    .optional()
    .describe('0 (the default) goes first, larger numbers later.'),
  delay_ms: z
    .int()
    .min(0)
    .max(MAX_DELAY_MS)
    .optional()
    .describe('How long to wait before the job may start, in milliseconds. Default: 0.'),
  max_attempts: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('The largest number of attempts, the first included. Default: the model’s setting.'),
  webhook_url: webhookUrl
    .optional()
    .describe(
      'The URL that gets a signed webhook with the job’s view when the job has ended. Needs ' +
        '`O3Q_SIGNING_SECRET`.',
    ),
};

const questionData = z.strictObject({ ...questionFields, ...runOptions, ...chainField });
const requestData = z.strictObject({
  request: responsesBody,
  ...runOptions,
  ...upstreamIdFields,
  ...chainField,
});
const questionRequest = z
  .strictObject({ ...questionFields, ...runOptions, ...queueOptions })
  .superRefine(saysWhenLate)
  .meta({ id: 'QuestionRequest' }) satisfies z.ZodType<QuestionRequest>;
const responsesRequest = z
  .strictObject({ request: responsesBody, ...runOptions, ...queueOptions })
  .superRefine(saysWhenLate)
  .meta({ id: 'ResponsesRequest' }) satisfies z.ZodType<ResponsesRequest>;

/**
 * jobRequest has both forms of a request, for the OpenAPI document. `parseJobRequest` picks the form first,
 * so that its refusals name the fields of one form.
 */
export const jobRequest = z.union([questionRequest, responsesRequest]).meta({ id: 'JobRequest' });

/**
 * JobData is the data of a job in Redis, the same for producers in every language (docs/DATA-FORMAT.md). It
 * is the request without the parts that BullMQ stores itself (queue, priority, delay, attempts).
 */
export type JobData = z.infer<typeof questionData> | z.infer<typeof requestData>;

declare const parsed: unique symbol;
/**
 * ParsedRequest is a JobRequest that `parseJobRequest` has checked. No other function makes a ParsedRequest,
 * so a request is checked exactly once, when it arrives.
 */
export type ParsedRequest = JobRequest & NamedUpstreamIds & { readonly [parsed]: true };

/**
 * @throws {QueueError} `invalid_request`, with every flaw.
 */
export function parseJobRequest(value: unknown): ParsedRequest {
  const input = withPlainOptions(value);
  const request = hasRequest(input)
    ? inOwnOrder(checkedInput('request', input, responsesRequest), input)
    : checkedInput('request', input, questionRequest);
  return request as ParsedRequest;
}

/** The flaw of data that `wholeData` could not decompress. */
const DAMAGED = {
  path: 'gzip',
  message:
    'expected the JSON of the data, compressed with gzip and in base64, got something else. The data is damaged in ' +
    'Redis, so enqueue the request again',
};

/**
 * parseJobData checks the data of a stored job: a producer in another language may have written anything.
 * @throws {QueueError} `invalid_request`
 */
export function parseJobData(value: unknown): JobData {
  if (hasOwn(value, 'gzip')) throw refusalOf('request', [DAMAGED]);
  const data = withPlainOptions(value);
  return hasRequest(data)
    ? inOwnOrder(checkedInput('request', data, requestData), data)
    : checkedInput('request', data, questionData);
}

/** The schema puts known fields first. inOwnOrder restores the caller's order for the upstream. */
function inOwnOrder<Checked extends { request: object }>(checked: Checked, input: unknown): Checked {
  const { request } = input as Checked;
  return { ...checked, request: { ...request } };
}

/**
 * requestedModel returns the model that the caller named, beside or inside the body; undefined: the caller
 * named none.
 */
export function requestedModel(request: JobRequest): string | undefined {
  return request.model ?? ('request' in request ? request.request.model : undefined);
}

/** jobDataFrom returns the part of a request that is stored in the job. */
export function jobDataFrom(request: JobRequest, streamByDefault: boolean): JobData {
  const {
    model: _model,
    priority: _priority,
    delay_ms: _delay,
    max_attempts: _attempts,
    webhook_url: _webhook,
    ...work
  } = request;
  const asked = 'request' in work ? (work.stream ?? work.request.stream ?? undefined) : work.stream;
  return { ...work, stream: asked ?? streamByDefault };
}

/**
 * responsesBodyFrom makes the body for the upstream, without `background` and `stream`: the worker sets
 * those.
 */
export function responsesBodyFrom(data: JobData, upstreamModel: string): Record<string, unknown> {
  if ('request' in data) {
    const { background: _background, stream: _stream, ...body } = data.request;
    return withUpstreamIds({ ...body, model: upstreamModel }, data);
  }
  return {
    model: upstreamModel,
    input:
      data.context === undefined ? data.question : `Context:\n${data.context}\n\nQuestion:\n${data.question}`,
    ...(data.instructions !== undefined && { instructions: data.instructions }),
    ...(data.reasoning_effort !== undefined && { reasoning: { effort: data.reasoning_effort } }),
    ...(data.max_output_tokens !== undefined && { max_output_tokens: data.max_output_tokens }),
    ...(data.metadata !== undefined && { metadata: data.metadata }),
  };
}

/**
 * hasRequest says whether a request has the form with `request` (true) or with `question` (false).
 * @throws {QueueError} `invalid_request` for both and for neither.
 */
function hasRequest(input: unknown): boolean {
  const [question, request] = [hasOwn(input, 'question'), hasOwn(input, 'request')];
  if (isJsonObject(input) && question === request) {
    const came = question ? 'both' : 'neither';
    throw refusalOf('request', [
      { path: '', message: `expected either "question" or "request", got ${came}` },
    ]);
  }
  return request;
}

/**
 * The fields of a body that the queue reads. The numbers of all other fields go to the upstream unchanged.
 */
const READ_FIELDS = ['model', 'input', 'stream', 'background', 'metadata'] as const;

/** withPlainOptions turns ExactNumbers into plain numbers in all fields that this queue reads. */
function withPlainOptions(value: unknown): unknown {
  if (!isJsonObject(value)) return value;
  const options = withPlainNumbers(value, Object.keys(value));
  const { request } = options;
  if (!isJsonObject(request)) return options;
  const work = withPlainNumbers(request, READ_FIELDS);
  return work === request ? options : { ...options, request: work };
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (!isJsonObject(value) && !Array.isArray(value)) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeperThan(levels - 1, part));
}

function hasOwn(value: unknown, key: string): boolean {
  return isJsonObject(value) && Object.hasOwn(value, key);
}
