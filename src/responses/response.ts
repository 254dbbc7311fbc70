import type { Usage } from '../job/view.ts';

/**
 * UpstreamResponse is a Responses API object as it came over the wire. Only fields that are read here are
 * typed: other servers leave fields out, and OpenAI adds some every month.
 */
export interface UpstreamResponse {
  id: string;
  /** Missing on some servers without background mode. */
  status?: string;
  model?: string;
  background?: boolean | null;
  metadata?: Record<string, string> | null;
  output?: unknown;
  error?: {
    code?: string | null;
    message?: string | null;
    type?: string | null;
    param?: string | null;
  } | null;
  incomplete_details?: { reason?: string } | null;
  usage?: unknown;
  /** The tier that serves the response; before it has run, the requested one. */
  service_tier?: unknown;
}

export function isUpstreamResponse(value: unknown): value is UpstreamResponse {
  return isRecord(value) && typeof value['id'] === 'string' && value['object'] !== 'error';
}

/** outputOf returns the items of the answer, unparsed. */
export function outputOf({ output }: UpstreamResponse): unknown[] {
  return Array.isArray(output) ? output : [];
}

/**
 * answerOf joins every `output_text` part of every message: what the SDK calls `output_text`, which is not on
 * the wire.
 */
export function answerOf(response: UpstreamResponse): string {
  if (!Array.isArray(response.output)) return '';
  return response.output
    .filter((item) => isRecord(item) && item['type'] === 'message' && Array.isArray(item['content']))
    .flatMap((item: { content: unknown[] }) => item.content)
    .map((part) => (isRecord(part) && part['type'] === 'output_text' ? part['text'] : ''))
    .filter((text) => typeof text === 'string')
    .join('');
}

/**
 * usageOf returns null where the upstream did not report usage, as for a cancelled response: it is never
 * guessed, and never 0.
 */
export function usageOf(response: UpstreamResponse): Usage | null {
  const usage = response.usage;
  if (!isRecord(usage)) return null;
  const count = (value: unknown): number => (typeof value === 'number' ? value : 0);
  const detail = (name: string, field: string): number => {
    const details = usage[name];
    return isRecord(details) ? count(details[field]) : 0;
  };
  return {
    input_tokens: count(usage['input_tokens']),
    cached_tokens: detail('input_tokens_details', 'cached_tokens'),
    cache_write_tokens: detail('input_tokens_details', 'cache_write_tokens'),
    output_tokens: count(usage['output_tokens']),
    reasoning_tokens: detail('output_tokens_details', 'reasoning_tokens'),
    total_tokens: count(usage['total_tokens']),
  };
}

/** serviceTierOf returns null where the upstream did not report a tier; few servers but OpenAI's do. */
export function serviceTierOf({ service_tier: tier }: UpstreamResponse): string | null {
  return typeof tier === 'string' ? tier : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
