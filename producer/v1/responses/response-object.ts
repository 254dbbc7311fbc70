import { responseIdOf } from '../../../src/job/ids/response-id.ts';
import { STATUS_TABLE } from '../../../src/job/job.ts';
import type { JobDetail } from '../../../src/job-store/result.ts';
import { missingFieldsOf } from './missing-fields.ts';

export type ResponseObject = Record<string, unknown> & { id: string; status: string };

/**
 * responseObject turns a job into a Response of OpenAI's API. The Response has every key that OpenAI sends,
 * with null where there is no value. For a completed job it is the upstream's own object under our id. Fields
 * that OpenAI always sends and the upstream left out are filled in.
 */
export function responseObject({ job, request, refusal, response }: JobDetail): ResponseObject {
  const status = statusOf(job, request);
  if (response !== undefined) {
    const known = { responseId: responseIdOf(job.id), request, skeleton: skeletonOf(request) };
    return {
      ...response,
      ...jobFieldsOf(job, request),
      ...missingFieldsOf(response, known),
      status: response.status ?? status,
    };
  }
  return {
    ...jobFieldsOf(job, request),
    status,
    ...skeletonOf(request),
    ...(job.status === 'failed' && { error: errorOf(job.error, refusal) }),
  };
}

/** unansweredObject is the Response at the beginning of a stream: nothing of the answer is known yet. */
export function unansweredObject(
  { job, request }: Pick<JobDetail, 'job' | 'request'>,
  status: 'queued' | 'in_progress',
): ResponseObject {
  return { ...jobFieldsOf(job, request), status, ...skeletonOf(request) };
}

export function isBackground({ background }: Record<string, unknown>): boolean {
  return background === true;
}

function statusOf(job: JobDetail['job'], request: Record<string, unknown>): string {
  // A requested cancel cannot be undone, and its caller was already told that the response is cancelled.
  if (job.status === 'active' && job.cancelling) return 'cancelled';
  const { responses } = STATUS_TABLE[job.status];
  // OpenAI never shows a foreground response as queued.
  return responses === 'queued' && !isBackground(request) ? 'in_progress' : responses;
}

/** The fields that come from the request and the job, not from the upstream. */
function jobFieldsOf(job: JobDetail['job'], request: Record<string, unknown>) {
  return {
    id: responseIdOf(job.id),
    object: 'response',
    created_at: Math.floor(Date.parse(job.created_at) / 1000),
    background: isBackground(request),
    previous_response_id: request['previous_response_id'] ?? null,
    store: request['store'] ?? true,
  };
}

function errorOf(error: { code: string; message: string }, refusal: JobDetail['refusal']) {
  // Some clients read the message only if the error has a `type`.
  const { code, message, type, param } = refusal ?? { ...error, type: null, param: null };
  return { code: code ?? error.code, message, type: type ?? 'server_error', param, ...refusal?.more };
}

function skeletonOf(request: Record<string, unknown>): Record<string, unknown> {
  const or = (field: string, otherwise: unknown): unknown => request[field] ?? otherwise;
  return {
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: or('instructions', null),
    max_output_tokens: or('max_output_tokens', null),
    max_tool_calls: or('max_tool_calls', null),
    model: request['model'],
    output: [],
    parallel_tool_calls: or('parallel_tool_calls', true),
    prompt_cache_key: or('prompt_cache_key', null),
    prompt_cache_retention: or('prompt_cache_retention', null),
    reasoning: { effort: null, summary: null, ...(request['reasoning'] as object | undefined) },
    safety_identifier: or('safety_identifier', null),
    service_tier: or('service_tier', 'auto'),
    temperature: or('temperature', 1),
    text: { format: { type: 'text' }, verbosity: 'medium', ...(request['text'] as object | undefined) },
    tool_choice: or('tool_choice', 'auto'),
    tools: toolsOf(request['tools']),
    top_logprobs: or('top_logprobs', 0),
    top_p: or('top_p', 1),
    truncation: or('truncation', 'disabled'),
    frequency_penalty: 0,
    presence_penalty: 0,
    usage: null,
    user: or('user', null),
    metadata: or('metadata', {}),
    ...conversationOf(request['conversation']),
    ...(isSet(request['prompt']) && { prompt: request['prompt'] }),
  };
}

/** toolsOf fills in the defaults of function tools, as OpenAI does. */
function toolsOf(tools: unknown): unknown[] {
  const listed: unknown[] = Array.isArray(tools) ? tools : [];
  return listed.map((tool) =>
    isSet(tool) && 'type' in tool && tool.type === 'function'
      ? { description: null, parameters: null, strict: true, ...tool }
      : tool,
  );
}

function conversationOf(conversation: unknown): object {
  if (typeof conversation === 'string') return { conversation: { id: conversation } };
  return isSet(conversation) ? { conversation } : {};
}

function isSet(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
