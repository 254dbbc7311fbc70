import type { ModelConfig, Models } from '../config/file.ts';
import type { QuotaLimits } from './quota.ts';

/**
 * limitsOf returns the configured limits of one upstream model: the smallest limits of all models that use
 * the upstream model, because these models share its quota. A fallback that is not the `upstream` of any
 * model has the limits of the model that falls back on it.
 */
export function limitsOf(
  models: Models['models'],
  upstreamModel: string,
  fallingBack: ModelConfig,
): QuotaLimits {
  const own = Object.values(models).filter(({ upstream }) => upstream === upstreamModel);
  const all = own.length > 0 ? own : [fallingBack];
  const smallest = (limits: readonly (number | undefined)[]): number | undefined => {
    const known = limits.filter((limit) => limit !== undefined);
    return known.length > 0 ? Math.min(...known) : undefined;
  };
  return {
    requestsPerMinute: smallest(all.map(({ requestsPerMinute }) => requestsPerMinute)),
    tokensPerMinute: smallest(all.map(({ tokensPerMinute }) => tokensPerMinute)),
    maxInFlight: smallest(all.map(({ maxInFlight }) => maxInFlight)),
    maxInFlightWindowed: smallest(all.map(({ maxInFlightWindowed }) => maxInFlightWindowed)),
  };
}

/** lowerLimit returns the lower of two limits of the same thing. Either may be unknown. */
export function lowerLimit<Unknown extends null | undefined>(
  configured: number | Unknown,
  advertised: number | Unknown,
): number | Unknown {
  if (typeof configured !== 'number' || typeof advertised !== 'number') return configured ?? advertised;
  return Math.min(configured, advertised);
}
