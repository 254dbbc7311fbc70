import { latenessFrom, type WindowLateness } from './window-choice.ts';

/** PAUSE_REASONS are the reasons why no job is sent to an upstream model, the most serious first. */
export const PAUSE_REASONS = [
  'gone',
  'quota_exhausted',
  'credentials_refused',
  'wrong_address',
  'upstream_down',
  'rate_limited',
] as const;
export type PauseReason = (typeof PAUSE_REASONS)[number];

/** QuotaPause is a reason why no job is sent to an upstream model, and when that pause ends. */
export interface QuotaPause {
  reason: PauseReason;
  /**
   * The end of the pause, or the time of the next probe, in Unix milliseconds. When it is past, the next job
   * is the probe.
   */
  until: number;
  /** The upstream's own words, for people; '' for none. */
  words: string;
}

/** QuotaSnapshot is the quota of one upstream model at one instant, on the clock of Redis. */
export interface QuotaSnapshot {
  /** The time of the snapshot, in Unix milliseconds. */
  at: number;
  /** Requests charged in the last minute. */
  requests: number;
  tokens: number;
  /** How many jobs have a reservation. */
  inFlight: number;
  /** How many of them have it for a response within a completion window. */
  inFlightWindowed: number;
  /**
   * Until then no job gets a window that its own request does not name, because the upstream has refused one;
   * in Unix milliseconds. undefined: jobs may get windows.
   */
  noWindowsUntil: number | undefined;
  /** How late answers within each window were. */
  lateness: WindowLateness;
  /** The upstream's own limits per minute; undefined: not advertised in the last day. */
  advertisedRequests: number | undefined;
  advertisedTokens: number | undefined;
  /** Mean tokens of a job; undefined: no job has ended yet. */
  meanTokens: number | undefined;
  /** Mean time of a response, in milliseconds; undefined: no job has ended yet. */
  meanDurationMs: number | undefined;
  /** The current pauses, the most serious first. */
  pauses: QuotaPause[];
}

/** The quota itself uses an advertised limit for the same time; see the script `quota.reserve`. */
const ADVERTISED_FOR_MS = 86_400_000;

/** decodeSnapshot reads the reply of the script `quota.snapshot`. */
export function decodeSnapshot(reply: unknown): QuotaSnapshot {
  const [at, requests, tokens, inFlight, flat, averages] = reply as [
    ...[number, number, number, number],
    ...[string[], (string | null)[]],
  ];
  const [meanTokens = null, meanDurationMs = null, ...lateness] = averages;
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] ?? '', flat[i + 1] ?? '');
  const state = new Map([...fields].map(([field, value]) => [field, Number(value)] as const));
  const noWindowsUntil = state.get('no_windows_until') ?? 0;
  const isAdvertised = at - (state.get('advertised_at') ?? 0) < ADVERTISED_FOR_MS;
  return {
    at,
    requests,
    tokens,
    inFlight,
    // The next reservation drops what dead workers have left in this number.
    inFlightWindowed: Math.min(inFlight, state.get('windowed') ?? 0),
    noWindowsUntil: noWindowsUntil > at ? noWindowsUntil : undefined,
    lateness: latenessFrom(lateness),
    advertisedRequests: isAdvertised ? state.get('advertised_requests') : undefined,
    advertisedTokens: isAdvertised ? state.get('advertised_tokens') : undefined,
    meanTokens: meanTokens === null ? undefined : Number(meanTokens),
    meanDurationMs: meanDurationMs === null ? undefined : Number(meanDurationMs),
    pauses: pausesIn(fields, at),
  };
}

/** The end of an open circuit breaker is not known, so `until` is the time of its next probe. */
function pausesIn(fields: ReadonlyMap<string, string>, at: number): QuotaPause[] {
  const timeOf = (field: string): number => Number(fields.get(field) ?? 0);
  const breaker = fields.get('breaker');
  return PAUSE_REASONS.flatMap((reason): QuotaPause[] => {
    if (reason === breaker)
      return [{ reason, until: timeOf('probe_at'), words: fields.get('breaker_words') ?? '' }];
    const until =
      reason === 'gone' ? timeOf('gone_until') : reason === 'rate_limited' ? timeOf('rate_limited_until') : 0;
    return until > at ? [{ reason, until, words: '' }] : [];
  });
}
