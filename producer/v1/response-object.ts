import { STATUS_TABLE } from '../../src/job/job.ts';
import type { JobDetail } from '../../src/job-store/result.ts';
import { responseIdOf } from './response-id.ts';

export type ResponseObject = Record<string, unknown> & { id: string; status: string };

/**
 * A job as a Response of OpenAI's: every key that the real one sends is there, null where it says nothing. Of a completed job it is the
 * upstream's own, under our id.
 */
export function responseObject({ job, request, refusal, response }: JobDetail): ResponseObject {
  const status = statusOf(job, request);
  if (response !== undefined) {
    return { ...response, ...identityOf(job, request), status: response.status ?? status };
  }
  return {
    ...identityOf(job, request),
    status,
    ...skeletonOf(request),
    ...(job.status === 'failed' && { error: errorOf(job.error, refusal) }),
  };
}

/** The same before anything was heard of it: how its stream begins. */
export function unansweredObject(
  { job, request }: Pick<JobDetail, 'job' | 'request'>,
  status: 'queued' | 'in_progress',
): ResponseObject {
  return { ...identityOf(job, request), status, ...skeletonOf(request) };
}

export function isBackground({ background }: Record<string, unknown>): boolean {
  return background === true;
}

function statusOf(job: JobDetail['job'], request: Record<string, unknown>): string {
  // A cancel that has been asked for is never undone, and its caller has been told so.
  if (job.status === 'active' && job.cancelling) return 'cancelled';
  const { responses } = STATUS_TABLE[job.status];
  // A foreground response is never queued: who waits for it sees it run.
  return responses === 'queued' && !isBackground(request) ? 'in_progress' : responses;
}

/** What is the caller's and ours, whatever the upstream made of it. */
function identityOf(job: JobDetail['job'], request: Record<string, unknown>) {
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
  // Some clients read the message only where there is a type.
  const { code, message, type, param } = refusal ?? { ...error, type: null, param: null };
  return { code: code ?? error.code, message, type: type ?? 'server_error', param };
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

/** OpenAI fills in what a function may leave out. */
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
