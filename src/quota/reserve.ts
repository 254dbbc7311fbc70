import { windowNamed } from '../job/completion-window.ts';
import type { ScriptValue } from '../redis/script.ts';
import type { PauseReason } from './snapshot.ts';
import { latenessFrom, type NeededWindow, type WindowLateness } from './window-choice.ts';

/** The most tokens that one job can be charged, more than any model accepts. */
const MOST_TOKENS = 1e9;
/** Need is what a job needs of a quota. */
export interface Need {
  /** The id, as `quotaJobId` makes it. All ids below have this form. */
  id: string;
  /** Input tokens, estimated from the length of the text. */
  inputTokens: number;
  /** `<tenant>/<reasoning effort>`: jobs of one class use a similar number of output tokens. */
  class: string;
  /**
   * The tenant of the job, and its tag and weight in the fair queue. undefined: needs are served in the order
   * of the list.
   */
  turn?: { tenant: string; tag: number; weight: number };
  /** The completion window that the job should get; undefined: `soonest`. */
  window?: NeededWindow | undefined;
}

/**
 * QuotaReason says why no job may be sent to an upstream model right now. With `max_in_flight_windowed` this
 * concerns only jobs within a completion window.
 */
export type QuotaReason =
  | 'requests_per_minute'
  | 'tokens_per_minute'
  | 'max_in_flight'
  | 'max_in_flight_windowed'
  | PauseReason;

/** QuotaWait says why a job has to wait for a quota, and for how many milliseconds at least. */
export interface QuotaWait {
  reason: QuotaReason;
  milliseconds: number;
}

/** ReserveReply is what `Quota.reserve` has reserved. */
export interface ReserveReply {
  /**
   * For each need that was considered, in order: the number of tokens that are reserved for the job, `taken`
   * when another dispatcher has reserved for it, or `skipped` when another job was preferred.
   */
  answers: (number | 'taken' | 'skipped')[];
  /**
   * What each reservation costs its tenant: the largest share that it takes of a minute's limits. In the
   * order of `answers`; 0 for a job without a new reservation.
   */
  costs: number[];
  /** For each of `answers` whether the job has its reservation within the window that it needs. */
  windowed: boolean[];
  /** How late answers within each window were; undefined: no need had a window. */
  lateness: WindowLateness | undefined;
  /** Whether only large jobs, or those within a window, have to wait: others that are enqueued now may start. */
  onlyLarge: boolean;
  /** The end of the leases, in Unix milliseconds. */
  untilMs: number;
  /** Why the other needs have to wait; undefined: there was enough for all. */
  wait: QuotaWait | undefined;
}

type ReserveScriptReply = [
  reason: QuotaReason | '',
  waitMs: number,
  untilMs: string,
  onlyLarge: 0 | 1,
  costs: string[],
  windows: string[],
  ...answers: string[],
];

/** reserveFields returns what the script `quota.reserve` takes for each need. */
export function reserveFields(need: Need): ScriptValue[] {
  const { tenant, tag, weight } = need.turn ?? { tenant: '', tag: 0, weight: 1 };
  return [need.id, ...estimateOf(need), tenant, tag, weight];
}

/** reserveReplyFrom decodes the reply of that script. */
export function reserveReplyFrom(reply: unknown): ReserveReply {
  const [reason, waitMs, untilMs, onlyLarge, costs, windows, ...answers] = reply as ReserveScriptReply;
  return {
    ...windowsFrom(windows),
    untilMs: Number(untilMs),
    answers: answers.map((answer) => {
      if (answer === '') return 'skipped';
      return answer === '-1' ? 'taken' : Number(answer);
    }),
    costs: costs.map(Number),
    onlyLarge: onlyLarge === 1,
    wait: reason === '' ? undefined : { reason, milliseconds: Math.max(1, waitMs) },
  };
}

/** windowsArgument returns the completion windows of needs in the form of that script. */
export function windowsArgument(needs: readonly Need[]): string {
  return needs
    .flatMap(({ window }, i) => (window === undefined ? [] : [`${i + 1}:${labelOf(window)}`]))
    .join(' ');
}

/** MOST_WINDOWED is more than any fleet holds. */
export const MOST_WINDOWED = 1e9;

/**
 * placeOf returns the name of a window in the quota. Windows that this queue does not know share one name in the quota, because
 * callers may name anything.
 */
export function placeOf(name: string): string {
  return windowNamed(name) ?? 'other';
}

function labelOf({ name, isCallers }: NeededWindow): string {
  return `${placeOf(name)}:${Number(isCallers)}`;
}

function windowsFrom(windows: readonly string[]): Pick<ReserveReply, 'windowed' | 'lateness'> {
  if (windows.length === 0) return { windowed: [], lateness: undefined };
  return {
    windowed: windows.slice(4).map((window) => window !== ''),
    lateness: latenessFrom(windows.slice(0, 4)),
  };
}

/** estimateOf returns the estimated input tokens and the class of a need. */
export function estimateOf(need: Need): [number, string] {
  return [tokenCount(need.inputTokens), need.class];
}

/**
 * tokenCount returns a usable token count: other servers and other BullMQ clients may send any number, and a script
 * cannot calculate with some of them.
 */
export function tokenCount(value: number): number {
  return Number.isFinite(value) ? Math.min(Math.max(0, Math.ceil(value)), MOST_TOKENS) : 0;
}
