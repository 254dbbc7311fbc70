import { lookScript } from '../lua/quota/look.ts';
import type { RedisClient } from '../redis/connection.ts';
import { allOf, quotaKeysOf } from './keys.ts';

/** Why nothing is sent to an upstream model, the gravest first. */
export const STOP_REASONS = ['gone', 'quota_exhausted', 'upstream_down', 'rate_limited'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

export interface QuotaStop {
  reason: StopReason;
  /** When one job tries again, in milliseconds; in the past: when there is one. */
  until: number;
}

/** The quota of one upstream model at one instant, on Redis' clock. */
export interface QuotaReading {
  /** In milliseconds. */
  at: number;
  /** Charged in the last minute. */
  requests: number;
  tokens: number;
  inFlight: number;
  /** The upstream's own limits a minute; undefined: it has not told them lately. */
  toldRequests: number | undefined;
  toldTokens: number | undefined;
  /** Those that hold, the gravest first. */
  stops: QuotaStop[];
}

/** As long as the quota itself goes by it. */
const TOLD_FOR_MS = 86_400_000;

export async function readQuota(
  redis: RedisClient,
  prefix: string,
  upstreamModel: string,
): Promise<QuotaReading> {
  const reply = await lookScript.run(redis, allOf(quotaKeysOf(prefix, upstreamModel)), []);
  const [at, requests, tokens, inFlight, flat] = reply as [number, number, number, number, string[]];
  const state = new Map<string, number>();
  for (let i = 0; i + 1 < flat.length; i += 2) state.set(flat[i] ?? '', Number(flat[i + 1]));
  const isTold = at - (state.get('told_at') ?? 0) < TOLD_FOR_MS;
  return {
    ...{ at, requests, tokens, inFlight },
    toldRequests: isTold ? state.get('told_requests') : undefined,
    toldTokens: isTold ? state.get('told_tokens') : undefined,
    stops: stopsIn(state, at),
  };
}

/** The end of a pause for money is a create that is taken, or a person's word: its time is only that of the next probe. */
function stopsIn(state: ReadonlyMap<string, number>, at: number): QuotaStop[] {
  const untilBy: Record<StopReason, number | undefined> = {
    gone: later(state.get('gone_until'), at),
    quota_exhausted: state.get('probe_at'),
    upstream_down: later(state.get('open_until'), at),
    rate_limited: later(state.get('blocked_until'), at),
  };
  return STOP_REASONS.flatMap((reason) => {
    const until = untilBy[reason];
    return until === undefined ? [] : [{ reason, until }];
  });
}

function later(time: number | undefined, at: number): number | undefined {
  return time !== undefined && time > at ? time : undefined;
}
