import type { EndChange, Faults } from '../faults/faults.ts';
import type { CreateRequest } from '../request/create-request.ts';
import { tokensOf } from './text.ts';
import { type Budget, countUsage, planTokens, type Usage } from './token-budget.ts';
import type { ToolCall } from './tool-calls.ts';

/**
 * Script is the plan of one response. It is fixed when the response is created. The status, the object and
 * the events are computed from the script and the elapsed time, so a replay is exact and needs no storage.
 */
export type Script = {
  readonly id: string;
  readonly request: CreateRequest;
  /** The text of the last user message, cut. */
  readonly question: string;
  /** Unix milliseconds. */
  readonly createdAtMs: number;
  /** When `queued` ends, in milliseconds since the response's creation. Infinity: never. */
  readonly startMs: number;
  /** When the response ends, in milliseconds since its creation. Infinity: never. */
  readonly endMs: number;
  /**
   * When the last event is due, in milliseconds since creation. A stalled response has such a time too,
   * although it never ends.
   */
  readonly lastEventMs: number;
  readonly items: readonly PlannedItem[];
  readonly ending: Ending;
  /** The usage that the response reports; null: it reports none. */
  readonly usage: Usage | null;
  /** What the field `usage` of the response contains when the response reports no usage. */
  readonly noUsage: Record<string, never> | null;
  /** How much of the output the finished response has. It may be less than was streamed. */
  readonly finalOutput: 'whole' | 'half' | 'empty';
  /** The fields that are set or removed last of all in the finished response; undefined: none. */
  readonly endChange: EndChange | undefined;
  /** The tokens that the response uses, whether it reports them or not. The rate limits count them. */
  readonly tokens: number;
  /**
   * The tokens that a response after this one reads again: the input and the output without the reasoning.
   */
  readonly contextTokens: number;
  /** Whether the response completes as planned although a cancel was accepted. */
  readonly completesAfterCancel: boolean;
  readonly keepaliveMs: number;
};

/** PlannedItem is one output item, before it is written. */
export type PlannedItem =
  | { readonly kind: 'reasoning'; readonly id: string; readonly summary: string; readonly sealed: boolean }
  | {
      readonly kind: 'message';
      readonly id: string;
      readonly text: string;
      readonly tokens: number;
      readonly deltas: number;
      /** `broken`: the response fails after half of the deltas. */
      readonly ending: 'completed' | 'incomplete' | 'broken';
      /** Whether the text is the model's refusal to answer. */
      readonly isRefusal: boolean;
    }
  | {
      readonly kind: 'tool_call';
      readonly id: string;
      readonly callId: string;
      readonly tool: ToolCall['kind'];
      readonly name: string;
      readonly text: string;
      /** How many tokens of the text are sent; fewer than it has if `max_output_tokens` cuts it. */
      readonly tokens: number;
      readonly ending: 'completed' | 'incomplete';
    };

/** Ending is how a response ends. */
export type Ending =
  | { readonly status: 'completed' }
  | { readonly status: 'incomplete'; readonly reason: 'max_output_tokens' }
  | {
      readonly status: 'failed';
      readonly code: string;
      readonly message: string;
      readonly announced: 'not' | 'nested' | 'flat';
    }
  /** The response sends its first `events` events and then nothing. Only a cancel ends it. */
  | { readonly status: 'stalled'; readonly events: number };

/** ScriptOptions are what a script needs beside the request. */
export type ScriptOptions = {
  readonly id: string;
  readonly createdAtMs: number;
  /** How long the response waits before its think time begins, in milliseconds: 0 without a window. */
  readonly waitMs: number;
  readonly thinkMs: number;
  readonly keepaliveMs: number;
  readonly faults: Faults;
  readonly question: string;
  readonly answer: string;
  /** The tool calls that are made in place of an answer. */
  readonly calls: readonly ToolCall[];
  readonly summary: string;
};

const QUEUED_SHARE = 0.1;
const REFUSAL = 'I am a simulated model, and I decline to answer this.';

export function writeScript(request: CreateRequest, options: ScriptOptions): Script {
  const fault = options.faults.response;
  const calls = fault === 'refusal' || isFailure(fault) ? [] : options.calls;
  const budget = planTokens(request, options.answer, calls, fault);
  const usage = countUsage(request, budget);
  const lastEventMs = options.waitMs + options.thinkMs;
  const isEndless = fault === 'stall' || fault === 'stuck_queued';
  return {
    id: options.id,
    request,
    question: options.question,
    createdAtMs: options.createdAtMs,
    startMs: startOf(request, options),
    endMs: isEndless ? Number.POSITIVE_INFINITY : lastEventMs,
    lastEventMs,
    items: planItems(request, { ...options, calls }, budget),
    ending: planEnding(request, options, budget),
    usage: fault === 'usage_empty' || fault === 'usage_null' || isFailure(fault) ? null : usage,
    noUsage: fault === 'usage_empty' ? {} : null,
    finalOutput: fault === 'output_empty' ? 'empty' : fault === 'output_half' ? 'half' : 'whole',
    endChange: fault === 'end' ? request.sim.end : undefined,
    tokens: usage.total_tokens,
    contextTokens: usage.input_tokens + budget.visible,
    completesAfterCancel: fault === 'late_completion',
    keepaliveMs: options.keepaliveMs,
  };
}

function startOf(request: CreateRequest, { faults, waitMs, thinkMs }: ScriptOptions): number {
  if (faults.response === 'stuck_queued') return Number.POSITIVE_INFINITY;
  return request.background ? waitMs + thinkMs * QUEUED_SHARE : 0;
}

function isFailure(fault: Faults['response']): boolean {
  return fault === 'failed' || fault === 'error_event' || fault === 'error_event_flat';
}

function planItems(request: CreateRequest, options: ScriptOptions, budget: Budget): PlannedItem[] {
  const suffix = options.id.slice('resp_'.length);
  const items: PlannedItem[] = [];
  if (budget.reasoning > 0) {
    items.push({
      kind: 'reasoning',
      id: `rs_${suffix}`,
      summary: request.wantsSummary ? options.summary : '',
      sealed: request.wantsEncryptedReasoning,
    });
  }
  if (budget.visible === 0 && budget.exhausted) return items;
  if (options.calls.length > 0) return [...items, ...planCalls(options.calls, suffix, budget)];
  items.push({
    kind: 'message',
    id: `msg_${suffix}`,
    text: options.faults.response === 'refusal' ? REFUSAL : options.answer,
    isRefusal: options.faults.response === 'refusal',
    tokens: budget.visible,
    deltas: request.sim.numbers.sim_deltas ?? budget.visible,
    ending: isFailure(options.faults.response) ? 'broken' : budget.exhausted ? 'incomplete' : 'completed',
  });
  return items;
}

/** Calls that `max_output_tokens` leaves no token for are not made. */
function planCalls(calls: readonly ToolCall[], suffix: string, { visible }: Budget): PlannedItem[] {
  let left = visible;
  return calls.flatMap(({ kind: tool, name, text }, index): PlannedItem[] => {
    if (left === 0) return [];
    const wanted = tokensOf(text).length;
    const tokens = Math.min(wanted, left);
    left -= tokens;
    const place = index.toString(16).padStart(4, '0');
    const id = `${tool === 'function' ? 'fc' : 'ctc'}_${suffix.slice(0, -4)}${place}`;
    const callId = `call_${suffix.slice(0, 20)}${place}`;
    const ending = tokens < wanted ? 'incomplete' : 'completed';
    return [{ kind: 'tool_call', id, callId, tool, name, text, tokens, ending }];
  });
}

function planEnding(request: CreateRequest, { faults }: ScriptOptions, budget: Budget): Ending {
  const { errorCode, numbers } = request.sim;
  const failure = {
    status: 'failed',
    code: errorCode,
    message: `The model failed to generate a response. (Simulated: metadata.sim asked for ${errorCode}.)`,
  } as const;
  switch (faults.response) {
    case 'stall':
      return { status: 'stalled', events: numbers.sim_events ?? 0 };
    case 'stuck_queued':
      // created and queued
      return { status: 'stalled', events: 2 };
    case 'failed':
      return { ...failure, announced: 'not' };
    case 'error_event':
      return { ...failure, announced: 'nested' };
    case 'error_event_flat':
      return { ...failure, announced: 'flat' };
    case 'incomplete':
    case 'usage_null':
    case 'usage_empty':
    case 'refusal':
    case 'output_empty':
    case 'output_half':
    case 'end':
    case 'late_completion':
    case undefined:
      return budget.exhausted
        ? { status: 'incomplete', reason: 'max_output_tokens' }
        : { status: 'completed' };
    default: {
      const never: never = faults.response;
      return never;
    }
  }
}
