import type { Models } from '../src/config-file.ts';
import type { PriceList } from '../src/price.ts';
import type { NextJob } from '../src/queue/line.ts';
import { type SpendBooks, spentToday } from '../src/queue/spend.ts';
import type { TenantQuotas } from '../src/quota/tenant-quota.ts';

/** Why a tenant's jobs have to wait while others go on, in words, and when it is worth another look. */
export interface TenantStop {
  reason: string;
  untilMs: number;
}

/** What tenants may use, whatever the upstream still has. */
export interface TenantGate {
  isLimited(tenant: string): boolean;
  /** Takes what the job needs of its tenant's limits. @returns why it cannot. */
  take(job: NextJob, tokens: ExpectedTokens): Promise<TenantStop | undefined>;
  release(job: Pick<NextJob, 'id' | 'tenant'>): Promise<void>;
}

export interface ExpectedTokens {
  upstreamModel: string;
  input: number;
  output: number;
}

const LOOK_AGAIN_MS = 1000;
/** A budget comes back when jobs have cost less than was expected of them, and at midnight. */
const LOOK_AT_BUDGET_MS = 5000;
const NANO_PER_DOLLAR = 1e9;

export function createTenantGate(
  tenants: Models['tenants'],
  tenantQuotas: TenantQuotas,
  prices: PriceList,
  books: SpendBooks,
): TenantGate {
  const limitsOf = (tenant: string) => (Object.hasOwn(tenants, tenant) ? tenants[tenant] : undefined);
  const release: TenantGate['release'] = ({ id, tenant }) => tenantQuotas.release(tenant, id);
  return {
    isLimited(tenant) {
      const limits = limitsOf(tenant);
      return limits?.maxInFlight !== undefined || limits?.dailyBudgetUsd !== undefined;
    },
    async take(job, { upstreamModel, input, output }) {
      const { maxInFlight, dailyBudgetUsd } = limitsOf(job.tenant) ?? {};
      const expected = prices.estimateOf({ upstreamModel, inputTokens: input, outputTokens: output });
      if (dailyBudgetUsd !== undefined && expected === null) {
        const reason = `a price of ${upstreamModel}, without which the budget of ${job.tenant} cannot be kept: set "prices" in o3q.config.json`;
        return { reason, untilMs: Date.now() + LOOK_AT_BUDGET_MS };
      }
      const reserved = await tenantQuotas.take(job.tenant, job.id, { maxInFlight, costNano: expected ?? 0 });
      if (reserved === undefined) {
        const reason = `one of the ${maxInFlight} jobs that ${job.tenant} may have in flight to end`;
        return { reason, untilMs: Date.now() + LOOK_AGAIN_MS };
      }
      if (dailyBudgetUsd === undefined) return undefined;
      // Read after it was reserved: what ends in between is counted twice, and never not at all.
      const spent = await spentToday(books, job.tenant);
      if (spent + reserved <= dailyBudgetUsd * NANO_PER_DOLLAR) return undefined;
      await release(job);
      const reason = `the daily budget of ${job.tenant}, ${dailyBudgetUsd} US dollars, which is used up or reserved, until ${nextMidnight()}`;
      return { reason, untilMs: Math.min(Date.now() + LOOK_AT_BUDGET_MS, Date.parse(nextMidnight())) };
    },
    release,
  };
}

/** When the next day begins, in UTC, as ISO 8601. */
function nextMidnight(): string {
  const day = new Date();
  day.setUTCHours(24, 0, 0, 0);
  return day.toISOString();
}
