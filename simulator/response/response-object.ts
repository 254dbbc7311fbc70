import type { CreateRequest } from '../request/create-request.ts';
import { isObject, type JsonObject } from '../request/json.ts';
import type { Ending, Script } from './script.ts';

/** What the response object of a moment says; the rest is an echo of the request. */
export type Phase =
  | { readonly status: 'queued' }
  | { readonly status: 'in_progress' }
  | { readonly status: 'cancelled'; readonly output: readonly object[] }
  | {
      readonly status: 'ended';
      readonly ending: Exclude<Ending, { status: 'stalled' }>;
      readonly output: readonly object[];
    };

export type Status = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

/** Every key is always there, null where it says nothing: as on the wire, not only as the schema requires. */
export function responseObject(script: Script, phase: Phase): object {
  const { body, model, metadata, effort } = script.request;
  const reasoning = isObject(body['reasoning']) ? body['reasoning'] : {};
  return {
    id: script.id,
    object: 'response',
    created_at: seconds(script.createdAtMs),
    status: phase.status === 'ended' ? phase.ending.status : phase.status,
    background: script.request.background,
    completed_at: isCompleted(phase) ? seconds(script.createdAtMs + script.endMs) : null,
    error: errorOf(phase),
    incomplete_details:
      phase.status === 'ended' && phase.ending.status === 'incomplete'
        ? { reason: phase.ending.reason }
        : null,
    instructions: body['instructions'] ?? null,
    max_output_tokens: body['max_output_tokens'] ?? null,
    max_tool_calls: body['max_tool_calls'] ?? null,
    model: model.snapshot,
    output: 'output' in phase ? phase.output : [],
    parallel_tool_calls: body['parallel_tool_calls'] ?? true,
    previous_response_id: body['previous_response_id'] ?? null,
    prompt_cache_key: body['prompt_cache_key'] ?? null,
    prompt_cache_retention: body['prompt_cache_retention'] ?? null,
    reasoning: { ...reasoning, effort, summary: reasoning['summary'] ?? null },
    safety_identifier: body['safety_identifier'] ?? null,
    // Until it ran, a response echoes the tier that was asked for.
    service_tier: phase.status === 'ended' ? servedTier(script.request) : (body['service_tier'] ?? 'auto'),
    store: script.request.store,
    temperature: 1,
    text: textOptions(body['text']),
    tool_choice: body['tool_choice'] ?? 'auto',
    tools: (Array.isArray(body['tools']) ? body['tools'] : []).map(echoTool),
    top_logprobs: body['top_logprobs'] ?? 0,
    top_p: body['top_p'] ?? 1,
    truncation: body['truncation'] ?? 'disabled',
    frequency_penalty: 0,
    presence_penalty: 0,
    usage: phase.status === 'ended' ? script.usage : null,
    user: body['user'] ?? null,
    metadata,
    ...optionalEcho(body),
  };
}

function isCompleted(phase: Phase): boolean {
  return phase.status === 'ended' && phase.ending.status === 'completed';
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}

/** `type` and `param` are newer than code and message; one client reads the message only if `type` is there. */
function errorOf(phase: Phase): object | null {
  if (phase.status !== 'ended' || phase.ending.status !== 'failed') return null;
  const { code, message } = phase.ending;
  return { code, message, type: failureType(code), param: null };
}

export function failureType(code: string): string {
  switch (code) {
    case 'server_error':
    case 'unknown_error':
    case 'vector_store_timeout':
      return 'server_error';
    case 'rate_limit_exceeded':
      return 'requests';
    case 'insufficient_quota':
      return 'insufficient_quota';
    default:
      return 'invalid_request_error';
  }
}

/** The tier that a response is served by, and billed at. */
export function servedTier({ body, wishes }: CreateRequest): string {
  if (wishes.tier !== undefined) return wishes.tier;
  const asked = String(body['service_tier'] ?? 'auto');
  if (asked === 'auto') return 'default';
  return asked === 'fast' ? 'priority' : asked;
}

function textOptions(asked: unknown): object {
  const text = isObject(asked) ? asked : {};
  return { ...text, format: text['format'] ?? { type: 'text' }, verbosity: text['verbosity'] ?? 'medium' };
}

function echoTool(tool: JsonObject): object {
  if (tool['type'] !== 'function') return tool;
  return {
    ...tool,
    description: tool['description'] ?? null,
    parameters: tool['parameters'] ?? null,
    strict: tool['strict'] ?? true,
  };
}

function optionalEcho(body: JsonObject): object {
  const { conversation, prompt } = body;
  return {
    ...(conversation === undefined || conversation === null
      ? {}
      : { conversation: typeof conversation === 'string' ? { id: conversation } : conversation }),
    ...(prompt === undefined || prompt === null ? {} : { prompt }),
  };
}
