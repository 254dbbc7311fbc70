import type { RedisClient } from '../redis/connection.ts';
import { USAGE_FIELDS, type UsageField, usageField, usageKey, usageModelsKey } from './keys.ts';
import { reportFrom, type UsageEntry, type UsageQuery, type UsageReport, usageRange } from './report.ts';
import { utcDay } from './utc-day.ts';

export interface UsageStore {
  redis: RedisClient;
  prefix: string;
  /** Those that are configured; what was spent on others is found as well. */
  models: Iterable<string>;
}

/**
 * What was spent, by day, model and tenant: reads a hash for each day and model, whatever the number of jobs.
 * @param tenant whose alone; undefined: everybody's.
 * @throws {QueueError} `invalid_request`
 */
export async function readUsage(
  books: UsageStore,
  query: UsageQuery,
  tenant: string | undefined,
): Promise<UsageReport> {
  const range = usageRange(query, Date.now());
  const entries: UsageEntry[] = [];
  // A model after the other, its days together: so that at most 400 commands are under way, and in a cluster each finds its own shard.
  for (const model of await modelsOf(books)) {
    const days = range.days.map(async (day) => {
      const key = usageKey(books.prefix, model, day);
      const tenants =
        tenant === undefined ? await everybody(books.redis, key) : await one(books.redis, key, tenant);
      return tenants.map((sums) => ({ day, model, ...sums }));
    });
    entries.push(...(await Promise.all(days)).flat());
  }
  return reportFrom(range, entries, query.by);
}

/** Nano-dollars that are booked for a tenant today (UTC), over all models. What still runs is not in it. */
export async function spentToday(books: UsageStore, tenant: string): Promise<number> {
  const day = utcDay(Date.now());
  const field = usageField(tenant, 'nano_usd');
  const models = await modelsOf(books);
  const sums = await Promise.all(
    models.map((model) => books.redis.hget(usageKey(books.prefix, model, day), field)),
  );
  return sums.reduce((total, sum) => total + Number(sum ?? 0), 0);
}

/** So that a report still finds what was spent on a model that has left the configuration. */
export async function rememberModels(
  redis: RedisClient,
  prefix: string,
  models: readonly string[],
): Promise<void> {
  await redis.sadd(usageModelsKey(prefix), ...models);
}

async function modelsOf({ redis, prefix, models }: UsageStore): Promise<string[]> {
  return [...new Set([...models, ...(await redis.smembers(usageModelsKey(prefix)))])];
}

type TenantSums = Omit<UsageEntry, 'day' | 'model'>;

async function everybody(redis: RedisClient, key: string): Promise<TenantSums[]> {
  const byTenant = new Map<string, Map<string, string>>();
  for (const [name, value] of Object.entries(await redis.hgetall(key))) {
    // A tenant of another BullMQ client may be called anything, with zero bytes in it.
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
    tenant: tenant === '' ? null : tenant,
    requests: number('requests'),
    input: number('input'),
    cached: number('cached'),
    output: number('output'),
    reasoning: number('reasoning'),
    nanoUsd: number('nano_usd'),
    unpriced: number('unpriced'),
  };
}
