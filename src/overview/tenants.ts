import { pauseSentence } from '../fair-queue/eta.ts';
import { NO_TENANT } from '../job/tenant.ts';
import { limitsOf, readTenantUse } from '../job-store/tenant-limits.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import { tenantQuotaKeysOf } from '../quota/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { usdFrom } from '../usage/usd.ts';
import { utcDay } from '../usage/utc-day.ts';

/** TenantState is how the jobs of one tenant stand, over all models. */
export interface TenantState {
  tenant: string;
  /** Its share of the starts, beside other tenants that wait. */
  weight: number;
  /** Jobs in the fair queues. */
  waiting: number;
  /** Jobs that have not ended: waiting, delayed and active ones. */
  unfinished: number;
  max_waiting: number | null;
  /** Jobs that hold a slot in flight; null: the tenant has no limit, so that its slots are not counted. */
  in_flight: number | null;
  max_in_flight: number | null;
  /** Why its jobs wait while those of others start; null: they may start. */
  paused: string | null;
  /** US dollars of today (UTC), estimates included. */
  spent_usd: number;
  daily_budget_usd: number | null;
  /** Tokens of today (UTC), in and out. */
  tokens: number;
  /** What its jobs keep in Redis, in bytes. */
  stored_bytes: number;
  max_stored_bytes: number | null;
}

export interface Tenants {
  tenants: TenantState[];
  /** Whether there are tenants that are not listed. */
  more: boolean;
}

/** The most tenants that are read, beside those of the configuration. */
const MOST_TENANTS = 200;

/**
 * readTenants reads the tenants of the configuration, those with waiting jobs, and those that have spent
 * today. While no model has more than 200 tenants, all of them are read. The cost grows with the number of
 * tenants, up to that, and not with the number of jobs.
 *
 * @param only the only tenant to read; undefined: all tenants.
 */
export async function readTenants(access: QueueAccess, only: string | undefined): Promise<Tenants> {
  const day = utcDay(serverTime(access.redis));
  const { rows } = await access.usage.report({ from: day, to: day, by: 'tenant' }, only);
  const tokens = new Map(
    rows.map((row) => [row.tenant ?? NO_TENANT, row.input_tokens + row.output_tokens] as const),
  );
  const read = (name: string) => readTenant(access, name, tokens.get(name) ?? 0);
  if (only !== undefined) return { tenants: [await read(only)], more: false };
  const configured = Object.keys(access.models.tenants);
  const found = (
    await Promise.all([...access.queues.values()].map((queue) => tenantsIn(access, queue)))
  ).flat();
  const others = [...found, ...rows.map(({ tenant }) => tenant ?? NO_TENANT)];
  const names = [...new Set([...configured, ...others])].filter((name) => name !== NO_TENANT);
  const most = configured.length + MOST_TENANTS;
  const tenants = await Promise.all(names.slice(0, most).map(read));
  return {
    tenants: tenants.sort((one, other) => other.waiting - one.waiting || other.unfinished - one.unfinished),
    more: names.length > most || found.length > MOST_TENANTS,
  };
}

async function tenantsIn({ redis }: QueueAccess, { keys }: ModelQueue): Promise<string[]> {
  if ((await redis.scard(keys.tenants)) <= MOST_TENANTS) return redis.smembers(keys.tenants);
  return redis.zrangebyscore(keys.fairQueue('tenants'), '-inf', '+inf', 'LIMIT', 0, MOST_TENANTS + 1);
}

async function readTenant(
  { redis, prefix, queues, models, usage }: QueueAccess,
  tenant: string,
  tokens: number,
): Promise<TenantState> {
  const now = serverTime(redis);
  const own = Object.hasOwn(models.tenants, tenant) ? models.tenants[tenant] : undefined;
  const limits = limitsOf(models, tenant);
  const isLimited = own?.maxInFlight !== undefined || own?.dailyBudgetUsd !== undefined;
  const [use, spentNano, inFlight, queued] = await Promise.all([
    readTenantUse(redis, queues.values(), tenant),
    usage.spentToday(tenant),
    isLimited ? redis.zcount(tenantQuotaKeysOf(prefix, tenant).leases, now, '+inf') : null,
    Promise.all(
      [...queues.values()].map(async ({ keys }) => {
        const [waiting, until, reason] = await Promise.all([
          redis.zcard(`${keys.fairQueue('tenant')}:${tenant}`),
          redis.zscore(keys.fairQueue('paused'), tenant),
          redis.hget(keys.fairQueue('reasons'), tenant),
        ]);
        return { waiting, reason: Number(until ?? 0) > now ? reason : null };
      }),
    ),
  ]);
  const reason = queued.find((each) => each.reason !== null)?.reason ?? null;
  return {
    tenant,
    weight: own?.weight ?? 1,
    waiting: queued.reduce((sum, { waiting }) => sum + waiting, 0),
    unfinished: use.waiting,
    max_waiting: limits?.maxWaiting ?? null,
    in_flight: inFlight,
    max_in_flight: own?.maxInFlight ?? null,
    paused: reason === null ? null : pauseSentence(reason, { tenant, maxInFlight: own?.maxInFlight }),
    spent_usd: usdFrom(spentNano) ?? 0,
    daily_budget_usd: own?.dailyBudgetUsd ?? null,
    tokens,
    stored_bytes: use.bytes,
    max_stored_bytes: limits?.maxBytes ?? null,
  };
}
