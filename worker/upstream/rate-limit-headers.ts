import type { AdvertisedLimits } from '../../src/quota/quota.ts';

/** What an answer's `x-ratelimit-*` headers say of the upstream's own limits. */
export function advertisedLimitsOf(headers: Pick<Headers, 'get'>): AdvertisedLimits {
  const count = (name: string): number | undefined => {
    const text = headers.get(`x-ratelimit-${name}`);
    return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
  };
  // Some servers say 0 for no limit; and one that takes nothing says so by a refusal.
  const limit = (name: string): number | undefined => count(name) || undefined;
  return {
    limitRequests: limit('limit-requests'),
    limitTokens: limit('limit-tokens'),
    remainingRequests: count('remaining-requests'),
    remainingTokens: count('remaining-tokens'),
  };
}
