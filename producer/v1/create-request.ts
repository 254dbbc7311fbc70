import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { checkedInput } from '../../src/errors/input.ts';
import { type ParsedRequest, parseJobRequest } from '../../src/job/request.ts';
import type { TenantQueue } from '../../src/queue/tenant-queue.ts';
import { OpenAiError } from './openai-error.ts';
import { jobIdOf } from './response-id.ts';
import { isBackground } from './response-object.ts';

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, 'expected a whole number')
  .transform(Number);

/** What the queue takes beside the body, which is OpenAI's. */
export const queueHeaders = z.object({
  'idempotency-key': z
    .string()
    .optional()
    .describe('The same key and body is the same response, and bought once.'),
  'o3q-priority': wholeNumber.optional().describe('0 (the default) goes first, larger numbers later.'),
  'o3q-delay-ms': wholeNumber.optional().describe('Not before so many milliseconds from now.'),
  'o3q-webhook-url': z.string().optional().describe('Where a signed webhook is sent at the end.'),
});

/** @throws {OpenAiError} for what is no JSON object. */
export function bodyFrom(body: unknown): Record<string, unknown> {
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return { ...body };
  throw new OpenAiError(400, {
    message: 'A JSON object was expected as the body, with the header "content-type: application/json"',
  });
}

/**
 * A body of the Responses API as a job. Nothing in it is changed; a response of this queue that it goes on from is named to the upstream by the upstream's id.
 * @throws {QueueError | OpenAiError}
 */
export async function jobRequestFrom(
  body: Record<string, unknown>,
  headers: IncomingHttpHeaders,
  queue: TenantQueue,
): Promise<ParsedRequest> {
  const options = checkedInput('header', headers, queueHeaders);
  const previous = await previousUpstreamId(body['previous_response_id'], queue);
  return parseJobRequest({
    request: body,
    // Who waits for it hears of its end the sooner.
    stream: !isBackground(body) || body['stream'] === true,
    ...(previous !== undefined && { previous_upstream_id: previous }),
    ...(options['o3q-priority'] !== undefined && { priority: options['o3q-priority'] }),
    ...(options['o3q-delay-ms'] !== undefined && { delay_ms: options['o3q-delay-ms'] }),
    ...(options['o3q-webhook-url'] !== undefined && { webhook_url: options['o3q-webhook-url'] }),
  });
}

/** undefined: there is none, or it is not ours and the upstream may know it. */
async function previousUpstreamId(id: unknown, queue: TenantQueue): Promise<string | undefined> {
  const jobId = typeof id === 'string' ? jobIdOf(id) : undefined;
  const job = jobId === undefined ? null : await queue.find(jobId);
  if (job === null) return undefined;
  if (job.status === 'completed' && job.upstream_id !== null) return job.upstream_id;
  throw new OpenAiError(400, {
    message: `Previous response with id '${String(id)}' was expected to be completed, but its job is ${job.status}.`,
    param: 'previous_response_id',
    code: 'previous_response_not_found',
  });
}
