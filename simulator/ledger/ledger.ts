import type { Metadata } from '../api/fields.ts';
import { type CompletionWindow, WINDOW_MS } from '../request/completion-window.ts';
import { shorten } from '../response/answer.ts';
import { type Status, servedTier } from '../response/response-object.ts';
import { endMs, isFinished, type Run, statusOf } from '../response/run.ts';
import type { Usage } from '../response/token-budget.ts';
import { billOf } from './prices.ts';
import { createRunningPeak } from './running-peak.ts';

/** LedgerEntry is one purchase: a response that was created, even if its reply was lost. */
type LedgerEntry = {
  readonly response_id: string;
  /** The model's id; `snapshot` is the dated name that the reply carries. */
  readonly model: string;
  readonly snapshot: string;
  /**
   * The tier that served the response and that sets its price. The response itself shows the tier only after
   * its end.
   */
  readonly service_tier: string;
  readonly mode: 'background' | 'background+stream' | 'foreground' | 'foreground+stream';
  readonly metadata: Metadata;
  /** The first 100 characters of the question. */
  readonly question: string;
  /** The headers `OpenAI-Organization` and `OpenAI-Project` of the create; null: it had none. */
  readonly organization: string | null;
  readonly project: string | null;
  /** The names of the request's top-level fields, as received. */
  readonly fields: readonly string[];
  /** Unix milliseconds. */
  readonly created_at: number;
  readonly state: Status;
  /** Unix milliseconds; null: the response still runs. */
  readonly ended_at: number | null;
  readonly completion_window: CompletionWindow;
  /** When its window ends, on the simulator's clock, in Unix milliseconds; null: it has none. */
  readonly window_ends_at: number | null;
  readonly continuation_id: string | null;
  /** Unix milliseconds. */
  readonly cancelled_at: number | null;
  /** Unix milliseconds. */
  readonly deleted_at: number | null;
  readonly usage: Usage | null;
  /**
   * What the usage costs in US dollars, with the window's discount; null: it has no usage or no known price.
   */
  readonly cost_usd: number | null;
  /** The same without the discount. */
  readonly list_usd: number | null;
  /** Lookups by GET without `stream`. */
  readonly polls: number;
};

type LedgerTotals = {
  /** Responses created since the start or the last reset: what an account would be billed for. */
  readonly purchases: number;
  readonly completed: number;
  readonly incomplete: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly running: number;
  /** The most responses of all models together that ran at once. */
  readonly most_running: number;
  /** The most responses of each model that ran at once. */
  readonly most_running_by_model: Readonly<Record<string, number>>;
  readonly polls: number;
  /** Calls of the cancel route, accepted or refused. */
  readonly cancels: number;
  /** Calls of the delete route, accepted or refused. */
  readonly deletes: number;
  /** Conversations that were compacted: each is paid for, and is no response. */
  readonly compactions: number;
  /** All calls under `/v1`. */
  readonly requests: number;
  /** Create calls that created no response. */
  readonly rejected: number;
  /** The part of `rejected` that a rate limit of the simulator refused. The `429` faults do not count. */
  readonly throttled: number;
  /** The part of `rejected` that came while an outage throttled the model. */
  readonly during_throttle: number;
  /** Webhooks that a receiver answered with 2xx. */
  readonly webhooks: number;
};

/** Ledger lists the purchases, as tests and chaos read them. */
export type Ledger = {
  /** Oldest first. Only the newest 20,000 of the finished purchases are listed; the totals count all. */
  entries(): LedgerEntry[];
  totals(): LedgerTotals;
  /** When the first 10,000 creates of `during_throttle` came, in Unix milliseconds. */
  throttledAt(): readonly number[];
  /** Forgets everything. Responses in flight continue, but are not listed. */
  reset(): void;
};

/** LedgerWriter is the ledger as the simulator writes it. */
export type LedgerWriter = Ledger & {
  open(run: Run): void;
  /** Call this when the store is about to forget a response. The ledger keeps the response's last state. */
  settle(run: Run): void;
  count(event: Exclude<keyof Counts, 'during_throttle'>): void;
  countThrottled(atMs: number): void;
};

type Counts = Pick<
  LedgerTotals,
  | 'polls'
  | 'cancels'
  | 'deletes'
  | 'compactions'
  | 'requests'
  | 'rejected'
  | 'throttled'
  | 'during_throttle'
  | 'webhooks'
>;

const MAX_SETTLED = 20_000;
const MAX_THROTTLED_AT = 10_000;
const QUESTION_CHARACTERS = 100;

/** @param windowScale how many times faster than the real time the clock of completion windows runs. */
export function createLedger(now: () => number, windowScale = 1): LedgerWriter {
  const open = new Map<string, Run>();
  const settled = new Map<string, LedgerEntry>();
  const peak = createRunningPeak(now);
  let counts = noCounts();
  let dropped = noStates();
  let throttledAt: number[] = [];

  const entries = (): LedgerEntry[] =>
    [...settled.values(), ...[...open.values()].map((run) => entryOf(run, now(), windowScale))].sort(
      (left, right) => left.created_at - right.created_at,
    );
  const totals = (): LedgerTotals => {
    const states = { ...dropped };
    for (const entry of settled.values()) states[entry.state] += 1;
    for (const run of open.values()) states[statusOf(run, now())] += 1;
    const { queued, in_progress, ...ended } = states;
    const running = queued + in_progress;
    const purchases = running + ended.completed + ended.incomplete + ended.failed + ended.cancelled;
    return {
      purchases,
      ...ended,
      running,
      most_running: peak.most(),
      most_running_by_model: peak.mostByModel(),
      ...counts,
    };
  };
  return {
    entries,
    totals,
    throttledAt: () => throttledAt,
    reset: () => {
      throttledAt = [];
      peak.reset();
      open.clear();
      settled.clear();
      counts = noCounts();
      dropped = noStates();
    },
    open: (run) => {
      open.set(run.script.id, run);
      peak.follow(run);
    },
    settle: (run) => {
      if (!open.delete(run.script.id)) return;
      settled.set(run.script.id, entryOf(run, now(), windowScale));
      if (settled.size <= MAX_SETTLED) return;
      for (const [id, entry] of settled) {
        settled.delete(id);
        dropped[entry.state] += 1;
        return;
      }
    },
    count: (event) => {
      counts[event] += 1;
    },
    countThrottled: (atMs) => {
      counts.during_throttle += 1;
      if (throttledAt.length < MAX_THROTTLED_AT) throttledAt.push(Math.round(atMs));
    },
  };
}

function noCounts(): { -readonly [Event in keyof Counts]: number } {
  return {
    polls: 0,
    cancels: 0,
    deletes: 0,
    compactions: 0,
    requests: 0,
    rejected: 0,
    throttled: 0,
    during_throttle: 0,
    webhooks: 0,
  };
}

function noStates(): Record<Status, number> {
  return { queued: 0, in_progress: 0, completed: 0, incomplete: 0, failed: 0, cancelled: 0 };
}

function entryOf(run: Run, nowMs: number, windowScale: number): LedgerEntry {
  const { script, cancelledAtMs, deletedAtMs } = run;
  const { request } = script;
  const { completionWindow: window, continuationId } = request.backgroundOptions;
  const state = statusOf(run, nowMs);
  const tier = servedTier(request);
  const usage = state === 'completed' || state === 'incomplete' ? script.usage : null;
  const windowMs = WINDOW_MS[window];
  return {
    response_id: script.id,
    model: request.model.id,
    snapshot: request.model.snapshot,
    service_tier: tier,
    mode: `${request.background ? 'background' : 'foreground'}${request.stream ? '+stream' : ''}`,
    metadata: request.metadata,
    question: shorten(script.question, QUESTION_CHARACTERS),
    ...request.account,
    fields: Object.keys(request.body),
    created_at: Math.round(script.createdAtMs),
    state,
    ended_at: isFinished(run, nowMs) ? Math.round(script.createdAtMs + endMs(run)) : null,
    completion_window: window,
    window_ends_at: windowMs === undefined ? null : Math.round(script.createdAtMs + windowMs / windowScale),
    continuation_id: continuationId ?? null,
    cancelled_at: cancelledAtMs === undefined ? null : Math.round(script.createdAtMs + cancelledAtMs),
    deleted_at: deletedAtMs === undefined ? null : Math.round(script.createdAtMs + deletedAtMs),
    usage,
    ...billOf({ model: request.model.id, tier, window, usage }),
    polls: run.polls,
  };
}
