import type { ToldLimits } from '../src/quota/quota.ts';

/** What an answer's `x-ratelimit-*` headers say of the upstream's own limits. */
export function toldLimitsOf(headers: Pick<Headers, 'get'>): ToldLimits {
  const count = (name: string): number | undefined => {
    const text = headers.get(`x-ratelimit-${name}`);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  };
  return {
    limitRequests: count('limit-requests'),
    limitTokens: count('limit-tokens'),
    remainingRequests: count('remaining-requests'),
    remainingTokens: count('remaining-tokens'),
  };
}
