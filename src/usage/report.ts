import { refusalOf, shown } from '../errors/input.ts';
import type { Flaw } from '../errors/problem.ts';
import { usdFrom } from './usd.ts';
import { daysBefore, daysBetween, isUtcDay, utcDay } from './utc-day.ts';

/** USAGE_DIMENSIONS are what rows of a report are grouped by. */
export const USAGE_DIMENSIONS = ['day', 'model', 'tenant'] as const;
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number];

export interface UsageQuery {
  /** `YYYY-MM-DD`, in UTC. Default: 29 days before `to`. */
  from?: string | undefined;
  /** The last day, `YYYY-MM-DD`, in UTC. Default: today. */
  to?: string | undefined;
  /** What the rows are grouped by. Default: one row for each day, model and tenant. */
  by?: UsageDimension | undefined;
}

/** UsageSums are sums over responses that have ended. */
export interface UsageSums {
  /** Responses that have ended. */
  requests: number;
  /** Tokens of the requests, cached ones included. */
  input_tokens: number;
  /** Part of `input_tokens`. */
  cached_tokens: number;
  /** Tokens that the models wrote, their reasoning included. */
  output_tokens: number;
  /** Part of `output_tokens`. */
  reasoning_tokens: number;
  /**
   * US dollars for all responses that are not unpriced, estimates included; null: there are responses, and
   * all are unpriced.
   */
  cost_usd: number | null;
  /**
   * What the same responses would have cost without the discounts of their completion windows, in US dollars;
   * null when `cost_usd` is.
   */
  list_usd: number | null;
  /** US dollars that the discounts have saved: `list_usd` less `cost_usd`. */
  saved_usd: number;
  /** Responses without a usage or a price. `cost_usd` does not include them. */
  unpriced_requests: number;
  /**
   * Responses whose cost is estimated: the upstream did not report their usage, or its reply does not confirm
   * the price.
   */
  estimated_requests: number;
  /** The part of `cost_usd` that is estimated. */
  estimated_usd: number;
}

/** UsageRow has the sums of one group of responses, and what they have in common. */
export interface UsageRow extends UsageSums {
  /** The day on which the responses ended, `YYYY-MM-DD`, in UTC. */
  day?: string;
  /** The model that the caller asked for. */
  model?: string;
  /** The tenant that owns the jobs; null: the jobs have no tenant. */
  tenant?: string | null;
}

/** UsageReport is what `GET /usage` answers. */
export interface UsageReport {
  /** The first day, `YYYY-MM-DD`, in UTC. */
  from: string;
  /** The last day, `YYYY-MM-DD`, in UTC. */
  to: string;
  /** The currency of all costs. */
  currency: 'usd';
  /** The sums over all rows. */
  total: UsageSums;
  /** Rows with at least one response, sorted by day, model and tenant. */
  rows: UsageRow[];
}

/** UsageEntry is what Redis holds for one day, model and tenant. Costs are whole nano-dollars. */
export interface UsageEntry {
  day: string;
  model: string;
  tenant: string | null;
  requests: number;
  input: number;
  cached: number;
  output: number;
  reasoning: number;
  nanoUsd: number;
  savedNano: number;
  unpriced: number;
  estimated: number;
  estimatedNano: number;
}

export interface UsageRange {
  from: string;
  to: string;
  /** All days of the range, earliest first. */
  days: string[];
}

const DEFAULT_DAYS = 30;
/** The most days in one report. Redis keeps the sums of a day for the same number of days. */
export const MOST_USAGE_DAYS = 400;

/**
 * usageRange checks a query and fills in its defaults.
 * @throws {QueueError} `invalid_request` for days that do not exist, are in the wrong order, or are too many.
 */
export function usageRange({ from, to, by }: UsageQuery, nowMs: number): UsageRange {
  const flaws: Flaw[] = [];
  for (const [path, day] of Object.entries({ from, to })) {
    if (day !== undefined && !isUtcDay(day))
      flaws.push({ path, message: `expected a day, YYYY-MM-DD, got ${shown(day)}` });
  }
  if (by !== undefined && !USAGE_DIMENSIONS.includes(by))
    flaws.push({ path: 'by', message: `expected one of ${USAGE_DIMENSIONS.join(', ')}, got ${shown(by)}` });
  if (flaws.length > 0) throw refusalOf('query', flaws);
  const last = to ?? utcDay(nowMs);
  const first = from ?? daysBefore(last, DEFAULT_DAYS - 1);
  const refuse = (message: string): never => {
    throw refusalOf('query', [{ path: 'from', message: `${message}, got ${shown(first)}` }]);
  };
  const day = to === undefined ? `today, ${last}` : `"to", ${last}`;
  if (first > last) refuse(`expected a day that is not after ${day}`);
  if (daysBefore(last, MOST_USAGE_DAYS - 1) > first)
    refuse(`expected one of the ${MOST_USAGE_DAYS} days up to ${day}`);
  return { from: first, to: last, days: daysBetween(first, last) };
}

export function reportFrom(
  { from, to }: Pick<UsageRange, 'from' | 'to'>,
  entries: readonly UsageEntry[],
  by: UsageDimension | undefined,
): UsageReport {
  const dimensions = by === undefined ? USAGE_DIMENSIONS : [by];
  const groups = new Map<string, UsageEntry[]>();
  for (const entry of entries) {
    const key = JSON.stringify(dimensions.map((dimension) => entry[dimension]));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [entry]);
    else group.push(entry);
  }
  const rows = [...groups.values()].map((group): UsageRow => {
    const [first] = group;
    const names = dimensions.map((dimension) => [dimension, first?.[dimension] ?? null]);
    return { ...Object.fromEntries(names), ...sumsOf(group) };
  });
  return { from, to, currency: 'usd', total: sumsOf(entries), rows: rows.sort(byNames) };
}

function sumsOf(entries: readonly UsageEntry[]): UsageSums {
  const sum = (field: Exclude<keyof UsageEntry, UsageDimension>): number =>
    entries.reduce((total, entry) => total + entry[field], 0);
  const requests = sum('requests');
  const unpriced = sum('unpriced');
  const isUnknown = requests > 0 && unpriced === requests;
  const [nano, saved] = [sum('nanoUsd'), sum('savedNano')];
  return {
    requests,
    input_tokens: sum('input'),
    cached_tokens: sum('cached'),
    output_tokens: sum('output'),
    reasoning_tokens: sum('reasoning'),
    cost_usd: isUnknown ? null : usdFrom(nano),
    list_usd: isUnknown ? null : usdFrom(nano + saved),
    saved_usd: usdFrom(saved) ?? 0,
    unpriced_requests: unpriced,
    estimated_requests: sum('estimated'),
    estimated_usd: usdFrom(sum('estimatedNano')) ?? 0,
  };
}

/** Rows without a tenant come first. */
function byNames(left: UsageRow, right: UsageRow): number {
  for (const dimension of USAGE_DIMENSIONS) {
    const [a, b] = [left[dimension] ?? '', right[dimension] ?? ''];
    if (a !== b) return a < b ? -1 : 1;
  }
  return 0;
}
