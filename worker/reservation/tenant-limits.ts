import type { Models } from '../../src/config/file.ts';
import { slotsTaken } from '../../src/fair-queue/eta.ts';
import type { TenantQuotas, TenantReserveReply } from '../../src/quota/tenant-quota.ts';
import type { Estimate, PriceList } from '../../src/usage/price.ts';
import { spentToday, type UsageStore } from '../../src/usage/store.ts';
import { NANO_PER_DOLLAR } from '../../src/usage/usd.ts';
import { nextUtcDay } from '../../src/usage/utc-day.ts';

/** A job that would be started, and what it is expected to use. */
export interface Candidate extends Estimate {
  id: string;
}

/** Why a tenant's jobs have to wait while others go on, in words, and when it is worth another look. */
export interface TenantStop {
  reason: string;
  untilMs: number;
}

export interface Admission {
  /** How many of the candidates, the first ones, may be started. */
  count: number;
  /** Why the next one may not; undefined: there is none. */
  stop: TenantStop | undefined;
  /** Of jobs that are not started after all. One that had been admitted before, by somebody else, is left alone. */
  giveBack(ids: readonly string[]): Promise<void>;
}

/** What tenants may use, whatever the upstream still has. */
export interface TenantLimits {
  isLimited(tenant: string): boolean;
  /**
   * Takes what jobs of one tenant need of its limits, in their order, up to the first for which there is not enough.
   * @param options.dry takes nothing: only tells how many there would be enough for.
   */
  admit(tenant: string, candidates: readonly Candidate[], options?: { dry?: boolean }): Promise<Admission>;
}

const LOOK_AGAIN_MS = 1000;
/** A budget comes back when jobs have cost less than was expected of them, and at midnight. */
const LOOK_AT_BUDGET_MS = 5000;

export function createTenantLimits(
  tenants: Models['tenants'],
  tenantQuotas: TenantQuotas,
  prices: PriceList,
  books: UsageStore,
): TenantLimits {
  const limitsOf = (tenant: string) => (Object.hasOwn(tenants, tenant) ? tenants[tenant] : undefined);

  /** Up to the first whose price nobody knows. */
  const price = (candidates: readonly Candidate[]): { id: string; costNano: number }[] => {
    const costs = candidates.map((candidate) => prices.estimateOf(candidate));
    const known = costs.includes(null) ? costs.indexOf(null) : costs.length;
    return candidates.slice(0, known).map(({ id }, i) => ({ id, costNano: costs[i] ?? 0 }));
  };

  /** How many of those that have a place are within the budget. */
  const countPaid = async (
    tenant: string,
    jobs: readonly { costNano: number }[],
    { answers, reservedNano }: TenantReserveReply,
    budgetUsd: number,
  ): Promise<number> => {
    // Read after it was reserved: what ends in between is counted twice, and never not at all.
    let leftNano = budgetUsd * NANO_PER_DOLLAR - reservedNano - (await spentToday(books, tenant));
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

    async admit(tenant, candidates, { dry = false } = {}) {
      const { maxInFlight, dailyBudgetUsd: budgetUsd } = limitsOf(tenant) ?? {};
      // Without a budget nobody asks what a job costs.
      const jobs =
        budgetUsd === undefined ? candidates.map(({ id }) => ({ id, costNano: 0 })) : price(candidates);
      const taken = await tenantQuotas.reserve(tenant, jobs, { maxInFlight, dry });
      const { answers, untilMs } = taken;
      const count =
        budgetUsd === undefined ? answers.length : await countPaid(tenant, jobs, taken, budgetUsd);
      const giveBack = async (ids: readonly string[]): Promise<void> => {
        if (dry) return;
        const back = jobs.filter(({ id }, i) => ids.includes(id) && answers[i] === 'reserved');
        await tenantQuotas.giveBack(
          tenant,
          back.map(({ id }) => id),
          untilMs,
        );
      };
      await giveBack(jobs.slice(count).map(({ id }) => id));
      return { count, stop: stopAt(count), giveBack };

      function stopAt(index: number): TenantStop | undefined {
        const next = candidates[index];
        if (next === undefined) return undefined;
        if (index < answers.length) return budgetStop(tenant, budgetUsd ?? 0, jobs[index]?.costNano ?? 0);
        if (index < jobs.length) return placeStop(tenant, maxInFlight ?? 0);
        return priceStop(tenant, next.upstreamModel);
      }
    },
  };
}

function placeStop(tenant: string, maxInFlight: number): TenantStop {
  return { reason: slotsTaken(tenant, maxInFlight), untilMs: Date.now() + LOOK_AGAIN_MS };
}

function priceStop(tenant: string, upstreamModel: string): TenantStop {
  return {
    reason: `a price of ${upstreamModel}, without which the budget of ${tenant} cannot be kept: set "prices" in o3q.config.json`,
    untilMs: Date.now() + LOOK_AT_BUDGET_MS,
  };
}

function budgetStop(tenant: string, budgetUsd: number, costNano: number): TenantStop {
  const expectedUsd = costNano / NANO_PER_DOLLAR;
  const midnight = nextUtcDay(Date.now());
  const reason =
    expectedUsd > budgetUsd
      ? `a daily budget of ${tenant} that it fits into: it is expected to cost ${expectedUsd.toPrecision(2)} US dollars, and ${budgetUsd} are allowed`
      : `the daily budget of ${tenant}, ${budgetUsd} US dollars, which is used up or reserved, until ${new Date(midnight).toISOString()}`;
  return { reason, untilMs: Math.min(Date.now() + LOOK_AT_BUDGET_MS, midnight) };
}
