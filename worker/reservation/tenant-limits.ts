import type { Models } from '../../src/config/file.ts';
import { SLOTS_TAKEN } from '../../src/fair-queue/eta.ts';
import type { TenantQuotas, TenantReserveReply } from '../../src/quota/tenant-quota.ts';
import type { ExpectedUsage, PriceList } from '../../src/usage/price.ts';
import type { UsageStore } from '../../src/usage/store.ts';
import { formatUsd, NANO_PER_DOLLAR } from '../../src/usage/usd.ts';
import { nextUtcDay, utcDay } from '../../src/usage/utc-day.ts';

/** TenantJob is a job that may start, and its expected usage. */
export interface TenantJob {
  id: string;
  expected: ExpectedUsage;
  /** Whether the response is bought within a completion window, so that it needs no slot in flight. */
  isWindowed: boolean;
}

type PricedJob = Pick<TenantJob, 'id' | 'isWindowed'> & { costNano: number };

/**
 * TenantPause says why the jobs of a tenant have to wait: `reason` is a sentence, or SLOTS_TAKEN. `untilMs`
 * is when to check again, in Unix milliseconds.
 */
export interface TenantPause {
  reason: string;
  untilMs: number;
}

/** TenantReservation is what was reserved of a tenant's limits. */
export interface TenantReservation {
  /** How many of the jobs may be started: the first ones. */
  count: number;
  /** Why the next job may not be started; undefined: all of the jobs may be started. */
  pause: TenantPause | undefined;
  /** Gives back what was reserved for jobs that are not started. Reservations of other dispatchers stay. */
  giveBack(ids: readonly string[]): Promise<void>;
}

/**
 * TenantLimits are the configured limits of tenants. They apply in addition to the quotas of upstream models.
 */
export interface TenantLimits {
  isLimited(tenant: string): boolean;
  /**
   * Returns what is left of today's budget of each tenant that has one, in US dollars: less than 0 when answers
   * have cost more than expected.
   */
  budgetsLeft(): Promise<ReadonlyMap<string, number>>;
  /**
   * Reserves what jobs of one tenant need of the tenant's limits. It takes the jobs in their order, and stops
   * at the first job for which there is not enough.
   * @param options.dry reserves nothing, and returns what would be reserved. It may use the spending that the
   * last reservation read, so it may return too much.
   */
  reserve(
    tenant: string,
    jobs: readonly TenantJob[],
    options?: { dry?: boolean },
  ): Promise<TenantReservation>;
}

const LOOK_AGAIN_MS = 1000;
/**
 * How soon a tenant that is paused for its budget is checked again, in milliseconds. Budget is freed when
 * jobs cost less than expected, and at midnight UTC.
 */
const LOOK_AT_BUDGET_MS = 5000;

export interface TenantLimitsOptions {
  /** They may change: each reservation reads them. */
  settings: Pick<Models, 'tenants'>;
  tenantQuotas: TenantQuotas;
  prices: PriceList;
  usage: UsageStore;
  /** Returns the time of Redis, in Unix milliseconds. */
  now: () => number;
  /** Whether the upstream is the simulator: its answers cost nothing, and budgets do not count. */
  isSimulated: () => boolean;
}

export function createTenantLimits({
  settings,
  tenantQuotas,
  prices,
  usage,
  now,
  isSimulated,
}: TenantLimitsOptions): TenantLimits {
  const limitsOf = (tenant: string) =>
    Object.hasOwn(settings.tenants, tenant) ? settings.tenants[tenant] : undefined;
  /** What each tenant had spent at the last reservation, in nano-dollars. */
  const lastSpent = new Map<string, { day: string; nano: number }>();

  const spentNano = async (tenant: string, dry: boolean): Promise<number> => {
    const day = utcDay(now());
    const last = lastSpent.get(tenant);
    if (dry && last?.day === day) return last.nano;
    const nano = await usage.spentToday(tenant);
    lastSpent.set(tenant, { day, nano });
    return nano;
  };

  /** Returns the costs of the jobs up to the first without a known price. */
  const costsOf = (jobs: readonly TenantJob[]): PricedJob[] => {
    const costs = jobs.map(({ expected }) => prices.expectedCostOf(expected)?.nano ?? null);
    const known = costs.includes(null) ? costs.indexOf(null) : costs.length;
    return jobs.slice(0, known).map(({ id, isWindowed }, i) => ({ id, isWindowed, costNano: costs[i] ?? 0 }));
  };

  /** Returns how many of the jobs with a slot are within the budget. */
  const countWithin = async (
    budgetUsd: number,
    jobs: readonly { costNano: number }[],
    { answers, reservedNano }: TenantReserveReply,
    spent: Promise<number>,
  ): Promise<number> => {
    let leftNano = budgetUsd * NANO_PER_DOLLAR - reservedNano - (await spent);
    const beyond = answers.findIndex((answer, i) => {
      if (answer === 'reserved') leftNano -= jobs[i]?.costNano ?? 0;
      return answer === 'reserved' && leftNano < 0;
    });
    return beyond < 0 ? answers.length : beyond;
  };

  return {
    isLimited(tenant) {
      const limits = limitsOf(tenant);
      return limits?.maxInFlight !== undefined || limits?.dailyBudgetUsd !== undefined;
    },

    async budgetsLeft() {
      const budgets = Object.entries(settings.tenants).map(async ([tenant, { dailyBudgetUsd: usd }]) => {
        if (usd === undefined || isSimulated()) return [tenant, usd] as const;
        const { reservedNano } = await tenantQuotas.reserve(tenant, [], {
          maxInFlight: undefined,
          dry: true,
        });
        return [tenant, usd - (reservedNano + (await usage.spentToday(tenant))) / NANO_PER_DOLLAR] as const;
      });
      return new Map(
        (await Promise.all(budgets)).filter((left): left is [string, number] => left[1] !== undefined),
      );
    },

    async reserve(tenant, jobs, { dry = false } = {}) {
      const { maxInFlight, dailyBudgetUsd } = limitsOf(tenant) ?? {};
      const budgetUsd = isSimulated() ? undefined : dailyBudgetUsd;
      // Without a budget the cost of a job does not matter.
      const priced: PricedJob[] =
        budgetUsd === undefined
          ? jobs.map(({ id, isWindowed }) => ({ id, isWindowed, costNano: 0 }))
          : costsOf(jobs);
      const reply = await tenantQuotas.reserve(tenant, priced, { maxInFlight, dry });
      const { answers, untilMs } = reply;
      // The spending is read after the reservation: a job that ends in between may count twice, but is never
      // missed.
      const count =
        budgetUsd === undefined
          ? answers.length
          : await countWithin(budgetUsd, priced, reply, spentNano(tenant, dry));
      const giveBack = async (ids: readonly string[]): Promise<void> => {
        if (dry) return;
        const back = priced.filter(({ id }, i) => ids.includes(id) && answers[i] === 'reserved');
        await tenantQuotas.giveBack(
          tenant,
          back.map(({ id }) => id),
          untilMs,
        );
      };
      await giveBack(priced.slice(count).map(({ id }) => id));
      return { count, pause: pauseAt(count), giveBack };

      function pauseAt(index: number): TenantPause | undefined {
        const next = jobs[index];
        if (next === undefined) return undefined;
        if (index < answers.length)
          return budgetPause(tenant, budgetUsd ?? 0, priced[index]?.costNano ?? 0, now());
        if (index < priced.length) return { reason: SLOTS_TAKEN, untilMs: now() + LOOK_AGAIN_MS };
        return pricePause(tenant, next.expected.upstreamModel, now());
      }
    },
  };
}

function pricePause(tenant: string, upstreamModel: string, now: number): TenantPause {
  const problem = `${upstreamModel} has no known price, so the budget of ${tenant} cannot be kept`;
  return {
    reason: `${problem}: set "prices" in o3q.config.json`,
    untilMs: now + LOOK_AT_BUDGET_MS,
  };
}

function budgetPause(tenant: string, budgetUsd: number, costNano: number, now: number): TenantPause {
  const midnight = nextUtcDay(now);
  const end = new Date(midnight).toISOString();
  const expectedUsd = Number((costNano / NANO_PER_DOLLAR).toPrecision(2));
  const [expected, budget] = [formatUsd(expectedUsd), formatUsd(budgetUsd)];
  const reason =
    costNano > budgetUsd * NANO_PER_DOLLAR
      ? `this job is expected to cost ${expected}, more than ${tenant}'s daily budget of ${budget}`
      : `the daily budget of ${tenant} (${budget}) is used up or reserved until ${end}`;
  return { reason, untilMs: Math.min(now + LOOK_AT_BUDGET_MS, midnight) };
}
