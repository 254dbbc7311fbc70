/**
 * AdvertisedLimits are the upstream's own limits, as it states them with each answer; undefined: it does not
 * say.
 */
export interface AdvertisedLimits {
  limitRequests: number | undefined;
  limitTokens: number | undefined;
  remainingRequests: number | undefined;
  remainingTokens: number | undefined;
}

/** advertisedLimitsOf reads the limits from the `x-ratelimit-*` headers of an answer. */
export function advertisedLimitsOf(headers: Pick<Headers, 'get'>): AdvertisedLimits {
  const count = (name: string): number | undefined => {
    const text = headers.get(`x-ratelimit-${name}`);
    return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
  };
  // Some servers send 0 for no limit. One that takes nothing says so by a refusal.
  const limit = (name: string): number | undefined => count(name) || undefined;
  return {
    limitRequests: limit('limit-requests'),
    limitTokens: limit('limit-tokens'),
    remainingRequests: count('remaining-requests'),
    remainingTokens: count('remaining-tokens'),
  };
}
