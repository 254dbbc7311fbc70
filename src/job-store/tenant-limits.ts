import { ADMIN } from '../config/api-keys.ts';
import type { Models } from '../config/file.ts';
import { QueueError } from '../errors/problem.ts';
import { NO_TENANT } from '../job/tenant.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { MemoryUse } from '../model-queue/redis-memory.ts';
import type { RedisClient } from '../redis/connection.ts';

/** TenantUse is what a tenant has stored: jobs that have not ended, and the bytes of all its jobs. */
export interface TenantUse {
  waiting: number;
  bytes: number;
}

/** StorageLimits are a tenant's `maxWaiting`, and its `maxStoredMb` in bytes; undefined: no such limit. */
export interface StorageLimits {
  maxWaiting: number | undefined;
  maxBytes: number | undefined;
}

const BYTES_PER_MB = 1024 ** 2;
/**
 * The share of Redis' memory that the jobs of one tenant may keep if the configuration does not say. From 90 %
 * on no tenant can enqueue, so that a runaway script would stop all of them.
 */
const DEFAULT_SHARE = 0.5;
/** When to try again, in milliseconds: one of the tenant's jobs may have ended by then. */
const WAITING_RETRY_MS = 10_000;
/** When to try again, in milliseconds. Retention makes room every ten minutes, a deletion at once. */
const STORED_RETRY_MS = 60_000;

/**
 * storageLimitsOf returns what a tenant may store: what the configuration says, and in place of a missing
 * `maxStoredMb` half of Redis' memory. Without `maxmemory`, and for admin, there is no such default.
 * @param memory says how large Redis is.
 */
export async function storageLimitsOf(
  models: Pick<Models, 'tenants'>,
  tenant: string,
  memory: () => Promise<MemoryUse | undefined>,
): Promise<StorageLimits | undefined> {
  const own = limitsOf(models, tenant);
  if (own?.maxBytes !== undefined || tenant === NO_TENANT || tenant === ADMIN) return own;
  const use = await memory();
  if (use === undefined) return own;
  return { maxWaiting: own?.maxWaiting, maxBytes: Math.floor(use.most * DEFAULT_SHARE) };
}

/** limitsOf returns what the configuration lets a tenant store; undefined: it sets no such limit. */
export function limitsOf({ tenants }: Pick<Models, 'tenants'>, tenant: string): StorageLimits | undefined {
  if (tenant === NO_TENANT || !Object.hasOwn(tenants, tenant)) return undefined;
  const { maxWaiting, maxStoredMb } = tenants[tenant] ?? {};
  if (maxWaiting === undefined && maxStoredMb === undefined) return undefined;
  return { maxWaiting, maxBytes: maxStoredMb === undefined ? undefined : maxStoredMb * BYTES_PER_MB };
}

/** readTenantUse adds up what a tenant has stored in these models. */
export async function readTenantUse(
  redis: RedisClient,
  queues: Iterable<ModelQueue>,
  tenant: string,
): Promise<TenantUse> {
  const uses = await Promise.all(
    [...queues].map(({ keys }) =>
      Promise.all([redis.scard(keys.tenantLive(tenant)), redis.hget(keys.tenantStored(tenant), '')]),
    ),
  );
  return {
    waiting: uses.reduce((sum, [waiting]) => sum + waiting, 0),
    bytes: uses.reduce((sum, [, bytes]) => sum + Number(bytes ?? 0), 0),
  };
}

/** limitRefusal says which limit a tenant has reached, what is used of it, and what to do. */
export function limitRefusal(
  tenant: string,
  { maxWaiting = 0, maxBytes = 0 }: StorageLimits,
  limit: 'waiting' | 'stored',
  used: number,
): QueueError {
  if (limit === 'waiting') {
    return new QueueError(
      'too_many_waiting',
      `${tenant} has ${used} jobs that have not ended, and may have ${maxWaiting}, delayed ones included. ` +
        'Wait until some have ended, cancel some, or raise maxWaiting in o3q.config.json',
      { retryAfterMs: WAITING_RETRY_MS },
    );
  }
  const inMb = (bytes: number): string => `${Math.round((bytes / BYTES_PER_MB) * 10) / 10} MB`;
  return new QueueError(
    'too_much_stored',
    `The jobs of ${tenant} keep ${inMb(used)}, and may keep ${inMb(maxBytes)}: this job does not fit. ` +
      'Delete finished jobs, send a smaller request, or set a higher maxStoredMb in o3q.config.json',
    { retryAfterMs: STORED_RETRY_MS },
  );
}

/**
 * assertMayWait checks that a tenant may have one more job that has not ended. Calls at the same time may all
 * pass this check: a retry by hand needs it, and changes BullMQ's job first.
 *
 * @throws {QueueError} `too_many_waiting`
 */
export async function assertMayWait(
  redis: RedisClient,
  queues: Iterable<ModelQueue>,
  { models, tenant }: { models: Pick<Models, 'tenants'>; tenant: string },
): Promise<void> {
  const limits = limitsOf(models, tenant);
  if (limits?.maxWaiting === undefined) return;
  const { waiting } = await readTenantUse(redis, queues, tenant);
  if (waiting >= limits.maxWaiting) throw limitRefusal(tenant, limits, 'waiting', waiting);
}
