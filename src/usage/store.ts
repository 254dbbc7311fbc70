import { cachedRead } from '../async/cached-read.ts';
import { tenantInView } from '../job/tenant.ts';
import type { RedisClient } from '../redis/connection.ts';
import { serverTime } from '../redis/server-time.ts';
import { USAGE_FIELDS, type UsageField, usageField, usageKey, usageModelsKey } from './keys.ts';
import { reportFrom, type UsageEntry, type UsageQuery, type UsageReport, usageRange } from './report.ts';
import { utcDay } from './utc-day.ts';

/** UsageStore reads what jobs have used and cost, by day, model and tenant. */
export interface UsageStore {
  /**
   * Reads a hash for each day and model, however many jobs there were.
   * @param tenant the only tenant to report; undefined: all tenants.
   * @throws {QueueError} `invalid_request`
   */
  report(query: UsageQuery, tenant: string | undefined): Promise<UsageReport>;
  /**
   * Returns what a tenant has spent today (UTC) over all models, in nano-dollars, estimates included. Running
   * responses do not count yet.
   */
  spentToday(tenant: string): Promise<number>;
  /**
   * Stores the configured models, so that a report still finds what was spent on a model that has left the
   * configuration.
   */
  rememberModels(): Promise<void>;
}

/**
 * For how long `spentToday` may use the same set of models, in milliseconds. The set is read again because
 * another process may have a model that this one does not have.
 */
const MODELS_FRESH_MS = 60_000;

/** @param configured the models of the configuration. What was spent on other models is found as well. */
export function createUsageStore(
  redis: RedisClient,
  prefix: string,
  configured: Iterable<string>,
): UsageStore {
  const models = [...configured];
  const readModels = async (): Promise<string[]> => [
    ...new Set([...models, ...(await redis.smembers(usageModelsKey(prefix)))]),
  ];
  const cachedModels = cachedRead(readModels, MODELS_FRESH_MS);
  return {
    async report(query, tenant) {
      const range = usageRange(query, serverTime(redis));
      const entries: UsageEntry[] = [];
      // Reads one model after the other, and all days of a model at once. So at most 400 commands are under
      // way, and in a cluster all of them go to one shard.
      for (const model of await readModels()) {
        const days = range.days.map(async (day) => {
          const key = usageKey(prefix, model, day);
          const sums = tenant === undefined ? await allTenants(redis, key) : await one(redis, key, tenant);
          return sums.map((each) => ({ day, model, ...each }));
        });
        entries.push(...(await Promise.all(days)).flat());
      }
      return reportFrom(range, entries, query.by);
    },
    async spentToday(tenant) {
      const day = utcDay(serverTime(redis));
      const field = usageField(tenant, 'nano_usd');
      const sums = await Promise.all(
        (await cachedModels()).map((model) => redis.hget(usageKey(prefix, model, day), field)),
      );
      return sums.reduce((total, sum) => total + Number(sum ?? 0), 0);
    },
    async rememberModels() {
      await redis.sadd(usageModelsKey(prefix), ...models);
    },
  };
}

type TenantSums = Omit<UsageEntry, 'day' | 'model'>;

async function allTenants(redis: RedisClient, key: string): Promise<TenantSums[]> {
  const byTenant = new Map<string, Map<string, string>>();
  for (const [name, value] of Object.entries(await redis.hgetall(key))) {
    // The field is split at the last zero byte, because a tenant's name from another BullMQ client may
    // contain zero bytes.
    const end = name.lastIndexOf('\0');
    const tenant = name.slice(0, end);
    const fields = byTenant.get(tenant) ?? new Map<string, string>();
    byTenant.set(tenant, fields.set(name.slice(end + 1), value));
  }
  return [...byTenant].map(([tenant, fields]) => sumsFrom(tenant, (field) => fields.get(field)));
}

async function one(redis: RedisClient, key: string, tenant: string): Promise<TenantSums[]> {
  const values = await redis.hmget(key, ...USAGE_FIELDS.map((field) => usageField(tenant, field)));
  const fields = new Map(USAGE_FIELDS.map((field, i) => [field, values[i] ?? undefined]));
  return fields.get('requests') === undefined ? [] : [sumsFrom(tenant, (field) => fields.get(field))];
}

function sumsFrom(tenant: string, field: (name: UsageField) => string | undefined): TenantSums {
  const number = (name: UsageField): number => Number(field(name) ?? 0);
  return {
    tenant: tenantInView(tenant),
    requests: number('requests'),
    input: number('input'),
    cached: number('cached'),
    output: number('output'),
    reasoning: number('reasoning'),
    nanoUsd: number('nano_usd'),
    savedNano: number('saved_nano'),
    unpriced: number('unpriced'),
    estimated: number('estimated'),
    estimatedNano: number('estimated_nano'),
  };
}
