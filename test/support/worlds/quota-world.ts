import { Redis } from 'ioredis';
import { quotaKeysOf } from '../../../src/quota/keys.ts';
import {
  type AdvertisedLimits,
  createQuota,
  type Need,
  type Quota,
  type QuotaLimits,
} from '../../../src/quota/quota.ts';
import { startTestRedis, type TestRedis } from '../redis/redis-server.ts';

export const NO_LIMITS: QuotaLimits = {
  requestsPerMinute: undefined,
  tokensPerMinute: undefined,
  maxInFlight: undefined,
};
export const NOTHING_ADVERTISED: AdvertisedLimits = {
  limitRequests: undefined,
  limitTokens: undefined,
  remainingRequests: undefined,
  remainingTokens: undefined,
};
export const keys = quotaKeysOf('o3q', 'o3');

/** QuotaWorld is the quota of the upstream model o3 on an empty Redis. */
export interface QuotaWorld {
  redis: Redis;
  quota: Quota;
}

/** useQuotaWorld gives each test of a file a fresh quota; its fields are set while the test runs. */
export function useQuotaWorld(): QuotaWorld {
  const world = {} as QuotaWorld;
  let server: TestRedis;
  beforeAll(async () => {
    server = await startTestRedis();
    world.redis = new Redis(server.url);
  });
  afterAll(async () => {
    world.redis.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    await world.redis.flushall();
    world.quota = createQuota(world.redis, 'o3q', 'o3');
  });
  return world;
}

/** needs returns what jobs of alice need: `job_0`, `job_1`, … from `first` on. */
export const needs = (count: number, inputTokens = 0, first = 0): Need[] =>
  Array.from({ length: count }, (_, i) => ({ id: `job_${first + i}`, inputTokens, class: 'alice/high' }));

/** reservedIn returns the tokens of each job for which there was enough. */
export const reservedIn = ({ answers }: { answers: (number | 'taken' | 'skipped')[] }): number[] =>
  answers.filter((answer) => typeof answer === 'number');
