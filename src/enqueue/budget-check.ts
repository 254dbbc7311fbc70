import { QueueError } from '../errors/problem.ts';
import type { QueueCore } from '../queue/queue-core.ts';
import { NANO_PER_DOLLAR } from '../usage/usd.ts';
import { nextUtcDay } from '../usage/utc-day.ts';

/**
 * For tenants whose jobs are to be refused when their budget is used up. What is reserved for jobs that run is not looked at here: nothing is started with it in any
 * case.
 * @returns `budget_exhausted`, or undefined when there is something left.
 */
export async function budgetRefusal(
  core: QueueCore,
  tenant: string | undefined,
): Promise<QueueError | undefined> {
  const { tenants } = core.models;
  if (tenant === undefined || !Object.hasOwn(tenants, tenant)) return undefined;
  const { dailyBudgetUsd, onBudgetExhausted } = tenants[tenant] ?? {};
  if (dailyBudgetUsd === undefined || onBudgetExhausted !== 'refuse') return undefined;
  const spent = await core.usage.spentToday(tenant);
  if (spent < dailyBudgetUsd * NANO_PER_DOLLAR) return undefined;
  return new QueueError(
    'budget_exhausted',
    `The daily budget of ${tenant}, ${dailyBudgetUsd} US dollars, is used up until midnight UTC: ${spent / NANO_PER_DOLLAR} are spent. Come back tomorrow, or have dailyBudgetUsd raised in o3q.config.json`,
    { retryAfterMs: nextUtcDay(Date.now()) - Date.now() },
  );
}
