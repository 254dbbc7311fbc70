import { readFileSync } from 'node:fs';
import { billOf } from '../../../simulator/ledger/prices.ts';
import { createPriceList } from '../../../src/usage/price.ts';

/** The simulator's price list stands apart from ours: both were written down from OpenAI's pages. */

const prices = createPriceList({ prices: {} }, { now: () => Date.parse('2026-11-29') });
const MODELS = [
  ...['o3', 'gpt-5.6-sol', 'gpt-5.6-terra', 'gpt-5.6-luna', 'gpt-6-astra', 'gpt-6-sol', 'gpt-6-luna'],
  ...['gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6.2-sol', 'gpt-6.2-astra'],
];
const WINDOWS = [
  { window: 'soonest', discount: 0 },
  { window: '2h', discount: 0.3 },
  { window: '8h', discount: 0.4 },
] as const;
const USES = [
  { input: 1234, cached: 0, written: 0, for12h: 0, output: 5678 },
  { input: 100_003, cached: 40_001, written: 7001, for12h: 3001, output: 12_345 },
  { input: 272_001, cached: 1, written: 1001, for12h: 0, output: 99 },
];

test.each(MODELS)('%s costs what the simulator bills, in each tier and window', (model) => {
  const tiers = ['default', 'flex', 'priority'].filter(
    // What it costs beside its promotion is not known. The two lists have read that differently.
    (tier) => model !== 'gpt-5.6-sol' || tier !== 'priority',
  );
  for (const tier of tiers)
    for (const { window, discount } of WINDOWS)
      for (const { input, cached, written, for12h, output } of USES) {
        // A model without a long context has no such requests.
        if (model === 'o3' && input > 200_000) continue;
        const details = { cached_tokens: cached, cache_write_tokens: written };
        const lives = { ttl_30m_tokens: written - for12h, ttl_12h_tokens: for12h };
        const bill = billOf({
          ...{ model, tier, window },
          usage: {
            ...{ input_tokens: input, output_tokens: output, total_tokens: input + output },
            input_tokens_details: { ...details, cache_write_tokens_details: lives },
            output_tokens_details: { reasoning_tokens: 0 },
          },
        });
        const cost = prices.costOf({
          ...{ upstreamModel: model, serviceTier: tier, discount },
          usage: {
            ...{ input_tokens: input, output_tokens: output, total_tokens: input + output },
            ...{ ...details, cache_write_12h_tokens: for12h, reasoning_tokens: 0 },
          },
        });
        // o3 has no price for writes of 12 hours.
        if (model === 'o3' && for12h > 0) continue;
        const what = JSON.stringify({ tier, window, input });
        if (bill.cost_usd === null) expect([what, cost]).toEqual([what, null]);
        else {
          expect(Math.abs((cost?.nano ?? Number.NaN) - bill.cost_usd * 1e9)).toBeLessThanOrEqual(1);
          expect(Math.abs((cost?.listNano ?? Number.NaN) - (bill.list_usd ?? 0) * 1e9)).toBeLessThanOrEqual(
            1,
          );
        }
      }
});

test('the current models that OpenAI’s SDK names have a price, or are warned of', () => {
  const types = readFileSync(new URL('../../../node_modules/openai/resources/shared.d.ts', import.meta.url));
  const [names = ''] = /export type ChatModel = [^;]*/.exec(types.toString()) ?? [];
  const current = [...names.matchAll(/'(gpt-(?:[5-9]|\d\d)[^']*)'/g)].map(([, name = '']) => name);
  expect(current.length).toBeGreaterThan(10);
  const expected = { inputTokens: 1000, outputTokens: 1000 };
  const missing = current.filter(
    (name) => prices.expectedCostOf({ upstreamModel: name, ...expected }) === null,
  );
  // A new SDK must not break the build: its models may have no public price yet.
  if (missing.length > 0)
    process.emitWarning(`src/usage/openai-prices.ts has no price of ${missing.join(', ')}`);
});
