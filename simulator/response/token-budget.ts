import type { ResponseFault } from '../faults/faults.ts';
import type { CreateRequest, Effort } from '../request/create-request.ts';
import { tokensOf } from './text.ts';
import type { ToolCall } from './tool-calls.ts';

/** Usage is what a response reports that it used, in OpenAI's form. */
export type Usage = {
  readonly input_tokens: number;
  readonly input_tokens_details: {
    readonly cached_tokens: number;
    readonly cache_write_tokens: number;
    readonly cache_write_tokens_details?: {
      readonly ttl_30m_tokens: number;
      readonly ttl_12h_tokens: number;
    };
  };
  readonly output_tokens: number;
  readonly output_tokens_details: { readonly reasoning_tokens: number };
  readonly total_tokens: number;
};

/** The reasoning tokens of each effort. OpenAI counts reasoning in blocks of 64 tokens. */
const REASONING_TOKENS: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 64,
  low: 192,
  medium: 640,
  high: 2048,
  xhigh: 4096,
  max: 8192,
};

/**
 * Budget divides the output tokens of a response; `exhausted` means that `max_output_tokens` was too small.
 */
export type Budget = { readonly reasoning: number; readonly visible: number; readonly exhausted: boolean };

/**
 * planTokens gives the reasoning its tokens first. The rest of `max_output_tokens` limits the tool calls, or
 * the answer if there are none.
 */
export function planTokens(
  request: CreateRequest,
  answer: string,
  calls: readonly ToolCall[],
  fault: ResponseFault | undefined,
): Budget {
  const { numbers } = request.sim;
  const wanted =
    calls.length > 0
      ? calls.reduce((sum, { text }) => sum + tokensOf(text).length, 0)
      : (numbers.sim_output_tokens ?? Math.max(tokensOf(answer).length, numbers.sim_deltas ?? 0));
  const reasoning = numbers.sim_reasoning_tokens ?? REASONING_TOKENS[request.effort];
  if (fault === 'incomplete') {
    return { reasoning: request.maxOutputTokens ?? Math.max(reasoning, 64), visible: 0, exhausted: true };
  }
  const limit = request.maxOutputTokens ?? Number.POSITIVE_INFINITY;
  return {
    reasoning: Math.min(reasoning, limit),
    visible: Math.min(wanted, Math.max(0, limit - reasoning)),
    exhausted: reasoning + wanted > limit,
  };
}

export function countUsage({ inputTokens }: CreateRequest, { reasoning, visible }: Budget): Usage {
  const { total: input, cached, written, written12h } = inputTokens;
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: cached,
      cache_write_tokens: written,
      ...(written12h !== undefined && {
        cache_write_tokens_details: { ttl_30m_tokens: written - written12h, ttl_12h_tokens: written12h },
      }),
    },
    output_tokens: reasoning + visible,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + reasoning + visible,
  };
}
