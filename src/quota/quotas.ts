import type { RedisClient } from '../redis/connection.ts';
import { createQuota, type Quota } from './quota.ts';

/** The quotas of all upstream models, each made when somebody first asks for it. */
export interface Quotas {
  of(upstreamModel: string): Quota;
}

export function createQuotas(redis: RedisClient, prefix: string): Quotas {
  const quotas = new Map<string, Quota>();
  return {
    of(upstreamModel) {
      const quota = quotas.get(upstreamModel) ?? createQuota(redis, prefix, upstreamModel);
      quotas.set(upstreamModel, quota);
      return quota;
    },
  };
}
