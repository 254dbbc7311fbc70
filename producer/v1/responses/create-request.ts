import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { checkedInput, refusalOf } from '../../../src/errors/input.ts';
import { timeOptions } from '../../../src/job/fields/times.ts';
import { UPSTREAM_HEADER_NAMES, type UpstreamHeaders } from '../../../src/job/fields/upstream-headers.ts';
import { type ParsedRequest, parseJobRequest } from '../../../src/job/request.ts';
import { OpenAiError } from '../openai-error.ts';
import { isBackground } from './response-object.ts';

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a whole number')
  .transform(Number);

/** queueHeaders are options for the queue. They are headers because OpenAI's body has no fields for them. */
export const queueHeaders = z.object({
  'idempotency-key': z
    .string()
    .optional()
    .describe('The same key and body give the same response, which is bought once.'),
  'o3q-priority': wholeNumber.optional().describe('0 (the default) goes first, larger numbers later.'),
  'o3q-delay-ms': wholeNumber
    .optional()
    .describe('How long to wait before the request may start, in milliseconds.'),
  'o3q-needed-by': timeOptions.needed_by,
  'o3q-on-late': timeOptions.on_late,
  'o3q-again': z
    .enum(['0', '1'])
    .optional()
    .describe(
      '1: a new answer. By default a call without an Idempotency-Key gets the job of an earlier call with the ' +
        'same request whose connection broke less than ten minutes ago, before its answer was delivered.',
    ),
  'o3q-on-disconnect': z
    .enum(['continue', 'cancel'])
    .optional()
    .describe(
      'Whether the job continues (the default) or is cancelled when the caller disconnects before the end.',
    ),
  'o3q-webhook-url': z
    .string()
    .optional()
    .describe('The URL that gets a signed webhook when the response has ended.'),
  ...Object.fromEntries(
    UPSTREAM_HEADER_NAMES.map((name) => [
      name,
      z.string().optional().describe('Is passed to the upstream with every call about this response.'),
    ]),
  ),
});

const PREFIX = 'o3q-';
const OPTIONS = Object.keys(queueHeaders.shape).filter((name) => name.startsWith(PREFIX));

/** QueueOptions are the options for the queue that a caller has sent as headers. */
export type QueueOptions = z.infer<typeof queueHeaders>;

/**
 * queueOptionsFrom reads the options for the queue.
 * @throws {QueueError} for a header with a wrong value, and for one that begins with `O3Q-` and is none of them:
 * a misspelt option would otherwise be ignored without a word.
 */
export function queueOptionsFrom(headers: IncomingHttpHeaders): QueueOptions {
  const unknown = Object.keys(headers).filter((name) => name.startsWith(PREFIX) && !OPTIONS.includes(name));
  if (unknown.length > 0)
    throw refusalOf(
      'header',
      unknown.map((path) => ({ path, message: `is not an option; expected one of ${OPTIONS.join(', ')}` })),
    );
  return checkedInput('header', headers, queueHeaders);
}

/** @throws {OpenAiError} for a body that is not a JSON object. */
export function bodyFrom(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body };
  throw new OpenAiError(400, {
    message: 'A JSON object was expected as the body, with the header "content-type: application/json"',
  });
}

/**
 * jobRequestFrom turns a body of the Responses API into a job request, and leaves the body unchanged.
 * @throws {QueueError}
 */
export function jobRequestFrom(
  body: Record<string, unknown>,
  { options, headers }: { options: QueueOptions; headers: IncomingHttpHeaders },
): ParsedRequest {
  const handedOn = upstreamHeadersOf(headers);
  return parseJobRequest({
    request: body,
    // A foreground response is streamed, because a stream shows the end of the response sooner than polling
    // does.
    stream: !isBackground(body) || body['stream'] === true,
    ...(handedOn !== undefined && { upstream_headers: handedOn }),
    ...(options['o3q-priority'] !== undefined && { priority: options['o3q-priority'] }),
    ...(options['o3q-delay-ms'] !== undefined && { delay_ms: options['o3q-delay-ms'] }),
    ...(options['o3q-needed-by'] !== undefined && { needed_by: options['o3q-needed-by'] }),
    ...(options['o3q-on-late'] !== undefined && { on_late: options['o3q-on-late'] }),
    ...(options['o3q-webhook-url'] !== undefined && { webhook_url: options['o3q-webhook-url'] }),
  });
}

/**
 * upstreamHeadersOf returns the headers that go to the upstream; undefined: the caller sent none. An empty
 * header counts as none.
 */
export function upstreamHeadersOf(headers: IncomingHttpHeaders): UpstreamHeaders | undefined {
  const sent = UPSTREAM_HEADER_NAMES.flatMap((name) => (headers[name] ? [[name, headers[name]]] : []));
  return sent.length === 0 ? undefined : (Object.fromEntries(sent) as UpstreamHeaders);
}
