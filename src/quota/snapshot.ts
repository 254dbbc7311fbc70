/** STOP_REASONS are the reasons why no job is sent to an upstream model, the most serious first. */
export const STOP_REASONS = ['gone', 'quota_exhausted', 'upstream_down', 'rate_limited'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

/** QuotaStop is a reason why no job is sent, and its end. */
export interface QuotaStop {
  reason: StopReason;
  /** When one job tries again, in Unix milliseconds. In the past: the next job tries. */
  until: number;
}

/** QuotaSnapshot is the quota of one upstream model at one instant, on the clock of Redis. */
export interface QuotaSnapshot {
  /** Unix milliseconds. */
  at: number;
  /** Charged in the last minute. */
  requests: number;
  tokens: number;
  /** Jobs with a reservation. */
  inFlight: number;
  /** The upstream's own limits per minute; undefined: not advertised in the last day. */
  advertisedRequests: number | undefined;
  advertisedTokens: number | undefined;
  /** Mean tokens of a job; undefined: no job has ended yet. */
  meanTokens: number | undefined;
  /** Mean time of a response, in milliseconds; undefined: no job has ended yet. */
  meanDurationMs: number | undefined;
  /** The current stops, the most serious first. */
  stops: QuotaStop[];
}

/** The quota itself uses an advertised limit for the same time: see the script `quota.reserve`. */
const ADVERTISED_FOR_MS = 86_400_000;

/** decodeSnapshot reads the reply of the script `quota.snapshot`. */
export function decodeSnapshot(reply: unknown): QuotaSnapshot {
  const [at, requests, tokens, inFlight, flat, meanTokens, meanDurationMs] = reply as [
    ...[number, number, number, number],
    ...[string[], string | null, string | null],
  ];
  const state = new Map<string, number>();
  for (let i = 0; i + 1 < flat.length; i += 2) state.set(flat[i] ?? '', Number(flat[i + 1]));
  const isAdvertised = at - (state.get('advertised_at') ?? 0) < ADVERTISED_FOR_MS;
  return {
    at,
    requests,
    tokens,
    inFlight,
    advertisedRequests: isAdvertised ? state.get('advertised_requests') : undefined,
    advertisedTokens: isAdvertised ? state.get('advertised_tokens') : undefined,
    meanTokens: meanTokens === null ? undefined : Number(meanTokens),
    meanDurationMs: meanDurationMs === null ? undefined : Number(meanDurationMs),
    stops: stopsIn(state, at),
  };
}

/**
 * The pause of an account without money lasts until a create request is accepted or a person resumes the
 * model. Its `untilMs` is the time of the next probe.
 */
function stopsIn(state: ReadonlyMap<string, number>, at: number): QuotaStop[] {
  const untilBy: Record<StopReason, number | undefined> = {
    gone: ifLater(state.get('gone_until'), at),
    quota_exhausted: state.get('probe_at'),
    upstream_down: ifLater(state.get('open_until'), at),
    rate_limited: ifLater(state.get('rate_limited_until'), at),
  };
  return STOP_REASONS.flatMap((reason) => {
    const until = untilBy[reason];
    return until === undefined ? [] : [{ reason, until }];
  });
}

function ifLater(time: number | undefined, at: number): number | undefined {
  return time !== undefined && time > at ? time : undefined;
}
