import { isObject, type JsonObject } from '../api/json.ts';
import type { CreateRequest } from '../request/create-request.ts';
import type { Ending, Script } from './script.ts';

/** Phase is the part of a response object that changes; the rest echoes the request. */
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

/**
 * responseObject builds the response as OpenAI sends it: with every key, and null where there is no value.
 * OpenAI's schema requires fewer keys.
 */
export function responseObject(script: Script, phase: Phase): object {
  const response = wholeResponse(script, phase);
  if (phase.status !== 'ended' || script.endChange === undefined) return response;
  const { set, unset } = script.endChange;
  return Object.fromEntries(
    Object.entries({ ...response, ...set }).filter(([field]) => !unset.includes(field)),
  );
}

function wholeResponse(script: Script, phase: Phase): object {
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
    // A response that has not ended echoes the requested tier.
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
    usage: phase.status === 'ended' ? (script.usage ?? script.noUsage) : null,
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

/**
 * OpenAI added `type` and `param` later than `code` and `message`. One client reads the message only if
 * `type` is there.
 */
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

/** servedTier returns the tier that serves a response. It sets the price, and is Standard in a window. */
export function servedTier({ body, sim, backgroundOptions }: CreateRequest): string {
  if (backgroundOptions.completionWindow !== 'soonest') return 'default';
  if (sim.tier !== undefined) return sim.tier;
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
