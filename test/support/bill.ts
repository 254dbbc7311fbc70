import type { UsageReport } from '../../src/usage/report.ts';
import type { Instance } from './worlds/instance.ts';

/** Nano-dollars for a token, as OpenAI publishes them: written down here once more. */
const PRICES = {
  o3: { input: 2000, cached: 500, output: 8000 },
  'gpt-5': { input: 1250, cached: 125, output: 10_000 },
};
/** What a tier does to the price; `priority` is that of o3. */
const TIERS: Record<string, number> = { default: 1, flex: 0.5, priority: 1.75 };

const DISCOUNTS = { soonest: 0, '2h': 0.3, '8h': 0.4 };

export type Entry = ReturnType<Instance['simulator']['ledger']['entries']>[number];

interface Bill {
  requests: number;
  input: number;
  cached: number;
  output: number;
  reasoning: number;
  nano: number;
  /** What completion windows have saved. */
  savedNano: number;
  unpriced: number;
}

/** billOf returns what the simulator would bill for these. */
export function billOf(entries: readonly Entry[]): Bill {
  const bill = {
    requests: 0,
    input: 0,
    cached: 0,
    output: 0,
    reasoning: 0,
    nano: 0,
    savedNano: 0,
    unpriced: 0,
  };
  for (const { model, usage, service_tier: tier, completion_window: window } of entries) {
    bill.requests += 1;
    if (usage === null) bill.unpriced += 1;
    else {
      const price = PRICES[model as keyof typeof PRICES];
      const cached = usage.input_tokens_details.cached_tokens;
      bill.input += usage.input_tokens;
      bill.cached += cached;
      bill.output += usage.output_tokens;
      bill.reasoning += usage.output_tokens_details.reasoning_tokens;
      const full = (usage.input_tokens - cached) * price.input + cached * price.cached;
      const list = (full + usage.output_tokens * price.output) * (TIERS[tier] ?? Number.NaN);
      bill.nano += list - list * DISCOUNTS[window];
      bill.savedNano += list * DISCOUNTS[window];
    }
  }
  return bill;
}

/** billIn returns what a report of ours bills. */
export function billIn(sums: UsageReport['total'] | undefined): Bill | undefined {
  return (
    sums && {
      requests: sums.requests,
      input: sums.input_tokens,
      cached: sums.cached_tokens,
      output: sums.output_tokens,
      reasoning: sums.reasoning_tokens,
      nano: Math.round((sums.cost_usd ?? 0) * 1e9),
      savedNano: Math.round(sums.saved_usd * 1e9),
      unpriced: sums.unpriced_requests,
    }
  );
}
