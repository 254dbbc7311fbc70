import type { Misbehaviour } from '../faults/faults.ts';
import type { CreateRequest } from '../request/create-request.ts';
import { argumentsFor, calledFunction } from './function-call.ts';
import { type Budget, countUsage, planTokens, type Usage } from './token-budget.ts';

/**
 * The whole fate of one response, fixed when it is created. Everything seen later (status, object, events)
 * is computed from the script and the time that has passed, so a replay is exact and costs no storage.
 */
export type Script = {
  readonly id: string;
  readonly request: CreateRequest;
  /** Unix milliseconds. */
  readonly createdAtMs: number;
  /** Since creation: when `queued` ends, and when the response ends. Infinity: never. */
  readonly startMs: number;
  readonly endMs: number;
  /** The time over which the events are spread; a stalled response has this, but no end. */
  readonly paceMs: number;
  readonly items: readonly PlannedItem[];
  readonly ending: Ending;
  /** What the response says that it used. */
  readonly usage: Usage | null;
  /** What it uses in all, told or not: this is what counts against a limit. */
  readonly tokens: number;
  /** A cancel is answered, but the response completes all the same at its time. */
  readonly completesAfterCancel: boolean;
  readonly keepaliveMs: number;
};

export type PlannedItem =
  | { readonly kind: 'reasoning'; readonly id: string; readonly summary: string; readonly sealed: boolean }
  | {
      readonly kind: 'message';
      readonly id: string;
      readonly text: string;
      readonly tokens: number;
      readonly deltas: number;
      /** `broken`: the response fails when half of the deltas are out. */
      readonly ending: 'completed' | 'incomplete' | 'broken';
    }
  | {
      readonly kind: 'function_call';
      readonly id: string;
      readonly callId: string;
      readonly name: string;
      readonly argumentsJson: string;
    };

export type Ending =
  | { readonly status: 'completed' }
  | { readonly status: 'incomplete'; readonly reason: 'max_output_tokens' }
  | {
      readonly status: 'failed';
      readonly code: string;
      readonly message: string;
      readonly announced: 'not' | 'nested' | 'flat';
    }
  /** No event after the first `events`, no end: only a cancel gets it out. */
  | { readonly status: 'stalled'; readonly events: number };

export type Direction = {
  readonly id: string;
  readonly createdAtMs: number;
  readonly thinkMs: number;
  readonly keepaliveMs: number;
  readonly misbehaviour: Misbehaviour;
  readonly answer: string;
  readonly summary: string;
};

const QUEUED_SHARE = 0.1;

export function writeScript(request: CreateRequest, direction: Direction): Script {
  const { run } = direction.misbehaviour;
  const budget = planTokens(request, direction.answer, run);
  const usage = countUsage(request, budget);
  const never = run === 'stall' || run === 'stuck_queued';
  return {
    id: direction.id,
    request,
    createdAtMs: direction.createdAtMs,
    startMs: startOf(request, direction),
    endMs: never ? Number.POSITIVE_INFINITY : direction.thinkMs,
    paceMs: direction.thinkMs,
    items: planItems(request, direction, budget),
    ending: planEnding(request, direction, budget),
    usage: run === 'usage_null' || isFailure(run) ? null : usage,
    tokens: usage.total_tokens,
    completesAfterCancel: run === 'late_completion',
    keepaliveMs: direction.keepaliveMs,
  };
}

function startOf(request: CreateRequest, { misbehaviour, thinkMs }: Direction): number {
  if (misbehaviour.run === 'stuck_queued') return Number.POSITIVE_INFINITY;
  return request.background ? thinkMs * QUEUED_SHARE : 0;
}

function isFailure(run: Misbehaviour['run']): boolean {
  return run === 'failed' || run === 'error_event' || run === 'error_event_flat';
}

function planItems(request: CreateRequest, direction: Direction, budget: Budget): PlannedItem[] {
  const suffix = direction.id.slice('resp_'.length);
  const items: PlannedItem[] = [];
  if (budget.reasoning > 0) {
    items.push({
      kind: 'reasoning',
      id: `rs_${suffix}`,
      summary: request.wantsSummary ? direction.summary : '',
      sealed: request.wantsEncryptedReasoning,
    });
  }
  if (budget.visible === 0 && budget.exhausted) return items;
  const call = calledFunction(request.body);
  if (call && !budget.exhausted && !isFailure(direction.misbehaviour.run)) {
    items.push({
      kind: 'function_call',
      id: `fc_${suffix}`,
      callId: `call_${suffix.slice(0, 24)}`,
      name: String(call['name']),
      argumentsJson: argumentsFor(call),
    });
    return items;
  }
  items.push({
    kind: 'message',
    id: `msg_${suffix}`,
    text: direction.answer,
    tokens: budget.visible,
    deltas: request.wishes.numbers.sim_deltas ?? budget.visible,
    ending: isFailure(direction.misbehaviour.run) ? 'broken' : budget.exhausted ? 'incomplete' : 'completed',
  });
  return items;
}

function planEnding(request: CreateRequest, { misbehaviour }: Direction, budget: Budget): Ending {
  const { errorCode, numbers } = request.wishes;
  const failure = {
    status: 'failed',
    code: errorCode,
    message: `The model failed to generate a response. (Simulated: metadata.sim asked for ${errorCode}.)`,
  } as const;
  switch (misbehaviour.run) {
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
    case 'late_completion':
    case undefined:
      return budget.exhausted
        ? { status: 'incomplete', reason: 'max_output_tokens' }
        : { status: 'completed' };
    default: {
      const never: never = misbehaviour.run;
      return never;
    }
  }
}
