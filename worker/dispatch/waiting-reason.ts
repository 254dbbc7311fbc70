import type { QuotaLimits, QuotaReason } from '../../src/quota/quota.ts';

/** Why a job waits although it is its turn, for who asked for it. */
export function waitingReason(
  { reason, until }: { reason: QuotaReason; until: number },
  { requestsPerMinute, tokensPerMinute, maxInFlight }: QuotaLimits,
  upstreamModel: string,
): string {
  const when = new Date(until).toISOString();
  const of = (limit: number | undefined): string => (limit === undefined ? "the upstream's" : String(limit));
  switch (reason) {
    case 'requests_per_minute':
      return `${of(requestsPerMinute)} requests a minute of ${upstreamModel}, spread over the minute`;
    case 'tokens_per_minute':
      return `${of(tokensPerMinute)} tokens a minute of ${upstreamModel}, spread over the minute`;
    case 'max_in_flight':
      return `one of the ${maxInFlight} responses of ${upstreamModel} that may run at once to end`;
    case 'rate_limited':
      return `rate limit until ${when}`;
    case 'quota_exhausted':
      return `quota exhausted: the upstream account of ${upstreamModel} has no money left; one job probes at ${when}`;
    case 'upstream_down':
      return `the upstream, which is out of reach or overloaded; one job tries again at ${when}`;
    case 'gone':
      return `a model: the upstream has no ${upstreamModel}`;
    default: {
      const never: never = reason;
      throw new Error(`unknown reason ${String(never)}`);
    }
  }
}
