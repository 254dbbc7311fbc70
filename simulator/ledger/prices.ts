import type { CompletionWindow } from '../request/completion-window.ts';
import type { Usage } from '../response/token-budget.ts';

/** Price is what a model costs, in US dollars per million tokens, and the factors of its other tiers. */
type Price = {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  /** null: the model is not served in this tier. */
  readonly flex: number | null;
  readonly priority: number | null;
};

/**
 * PRICES are OpenAI's Standard prices of 2026-11-28. The list stands apart from that of `src/usage` on
 * purpose: tests compare the product's bill with this one, and two bills from one list could not disagree. A
 * model that is not here has no price.
 */
const PRICES: Readonly<Record<string, Price>> = {
  o3: { input: 2, cached: 0.5, output: 8, flex: 0.5, priority: 1.75 },
  'gpt-5.6-sol': { input: 4, cached: 0.4, output: 20, flex: 0.5, priority: 2 },
  'gpt-5.6-terra': { input: 2, cached: 0.2, output: 12, flex: 0.5, priority: 2 },
  'gpt-5.6-luna': { input: 0.2, cached: 0.02, output: 1.2, flex: 0.5, priority: 2 },
  'gpt-6-astra': { input: 10, cached: 1, output: 50, flex: 0.5, priority: 2 },
  'gpt-6-sol': { input: 2, cached: 0.2, output: 10, flex: 0.5, priority: 2 },
  'gpt-6-luna': { input: 0.1, cached: 0.01, output: 0.5, flex: 0.5, priority: 2 },
  'gpt-6.1-sol': { input: 2, cached: 0.1, output: 10, flex: 0.5, priority: 2 },
  'gpt-6.1-terra': { input: 1, cached: 0.05, output: 5, flex: 0.5, priority: 2 },
  'gpt-6.2-sol': { input: 2, cached: 0.1, output: 10, flex: null, priority: 2 },
  'gpt-6.2-astra': { input: 8, cached: 0.4, output: 40, flex: null, priority: 2 },
};

/** A window's price as a share of Standard. It applies to tokens, and the simulator sells nothing else. */
const WINDOW_SHARE: Readonly<Record<CompletionWindow, number>> = { soonest: 1, '2h': 0.7, '8h': 0.6 };

/** A request of a GPT model with a longer input costs more as a whole. */
const LONG_INPUT = { overTokens: 272_000, input: 2, output: 1.5 };
/** What a token written to the cache costs, in prices of an input token. o3 charges nothing for it. */
const WRITE = { for30m: 1.25, for12h: 2.5 };
const NO_WRITE = { for30m: 1, for12h: 1 };
/** A dollar per million tokens is this many nano-dollars per token. */
const NANO_PER_TOKEN = 1000;
const NANO_PER_USD = 1e9;

/** Bill is what a response costs and what it would cost outside of its window, in US dollars. */
export type Bill = { readonly cost_usd: number | null; readonly list_usd: number | null };

/**
 * billOf returns the bill of a response, exact to a nano-dollar. It is null without a usage, for an unknown
 * model, and for a tier whose price is not known. A window that was missed keeps its discount; what OpenAI
 * does then is not known.
 */
export function billOf(sale: {
  readonly model: string;
  readonly tier: string;
  readonly window: CompletionWindow;
  readonly usage: Usage | null;
}): Bill {
  const price = PRICES[sale.model];
  const tier = price && factorOf(price, sale.tier);
  if (sale.usage === null || price === undefined || tier === undefined)
    return { cost_usd: null, list_usd: null };
  const { input_tokens: input, input_tokens_details: details, output_tokens: output } = sale.usage;
  const isGpt = sale.model.startsWith('gpt-');
  const isLong = isGpt && input > LONG_INPUT.overTokens;
  const { cached_tokens: cached, cache_write_tokens: written, cache_write_tokens_details: lives } = details;
  const kept12h = lives?.ttl_12h_tokens ?? 0;
  const write = isGpt ? WRITE : NO_WRITE;
  const inputUsd =
    (input - cached - written) * price.input +
    cached * price.cached +
    ((written - kept12h) * write.for30m + kept12h * write.for12h) * price.input;
  const usd =
    inputUsd * (isLong ? LONG_INPUT.input : 1) + output * price.output * (isLong ? LONG_INPUT.output : 1);
  const list = usd * NANO_PER_TOKEN * tier;
  return { cost_usd: inUsd(list * WINDOW_SHARE[sale.window]), list_usd: inUsd(list) };
}

function factorOf(price: Price, tier: string): number | undefined {
  if (tier === 'default') return 1;
  return (tier === 'flex' ? price.flex : tier === 'priority' ? price.priority : null) ?? undefined;
}

function inUsd(nano: number): number {
  return Math.round(nano) / NANO_PER_USD;
}
