import type { Usage } from '../job/view.ts';

/**
 * A Responses API object as it came over the wire. Only what is read here is typed: other servers leave fields out,
 * and OpenAI adds some every month.
 */
export interface UpstreamResponse {
  id: string;
  /** Missing on some servers that only know the foreground. */
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
  /** The tier it is served in; until it has run, the one that was asked for. */
  service_tier?: unknown;
}

export function isUpstreamResponse(value: unknown): value is UpstreamResponse {
  return isRecord(value) && typeof value['id'] === 'string' && value['object'] !== 'error';
}

/** The items of the answer, with nothing made of them. */
export function outputOf({ output }: UpstreamResponse): unknown[] {
  return Array.isArray(output) ? output : [];
}

/** The text that the SDK calls `output_text`: every `output_text` part of every message, joined. The wire has no such field. */
export function answerOf(response: UpstreamResponse): string {
  if (!Array.isArray(response.output)) return '';
  return response.output
    .filter((item) => isRecord(item) && item['type'] === 'message' && Array.isArray(item['content']))
    .flatMap((item: { content: unknown[] }) => item.content)
    .map((part) => (isRecord(part) && part['type'] === 'output_text' ? part['text'] : ''))
    .filter((text) => typeof text === 'string')
    .join('');
}

/** null: the upstream did not say (it never does for a cancelled response). Never guessed, never 0. */
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

/** null: the upstream did not say, as few servers but OpenAI's do. */
export function serviceTierOf({ service_tier: tier }: UpstreamResponse): string | null {
  return typeof tier === 'string' ? tier : null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
