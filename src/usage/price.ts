import { calcPrice, type Provider } from '@pydantic/genai-prices';
import type { Models, PriceConfig } from '../config/file.ts';
import type { Usage } from '../job/view.ts';
import { type CostParts, openAiCost, tierFactorOf } from './openai-prices.ts';
import { utcDay } from './utc-day.ts';

/** ResponseUsage is what a response has used, according to the upstream. */
export interface ResponseUsage {
  /** The upstream's name of the model, with its date: `o3-2025-04-16`. */
  upstreamModel: string;
  /** The tokens that the response has used; null: the upstream did not report them. */
  usage: Usage | null;
  /**
   * The tier in which the response was served; null: the upstream did not report it, which means the default
   * tier.
   */
  serviceTier: string | null;
  /** The discount of the response's completion window, 0 to 1. Default 0. */
  discount?: number | undefined;
}

/** ExpectedUsage is what a job is expected to use. */
export interface ExpectedUsage {
  upstreamModel: string;
  inputTokens: number;
  outputTokens: number;
  /** The tier that the request asks for. `auto` may become any tier. Default: the default tier. */
  serviceTier?: string | null;
  /** The discount of the completion window in which the job will be bought, 0 to 1. Default 0. */
  discount?: number | undefined;
}

/** Cost is the price of a response, in whole nano-dollars, so that sums are exact. */
export interface Cost {
  nano: number;
  /** The price of the same tokens in the same tier without the completion window's discount. */
  listNano: number;
  /**
   * Whether the reply does not confirm the price: it names no completion window, so the discount is the one
   * that was asked for; or the tier's factor, an old promotion or the life of a cache write is not certain.
   */
  isEstimated: boolean;
}

/** PriceList computes what responses cost. An unknown cost is null, never 0. */
export interface PriceList {
  costOf(used: ResponseUsage): Cost | null;
  expectedCostOf(expected: ExpectedUsage): Cost | null;
  /** Returns the cost if the upstream also writes the whole input to its cache, which may cost more. */
  highestCostOf(expected: ExpectedUsage): Cost | null;
}

const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;
const PICO_PER_NANO = 1000;
const PICO_PER_MICRO = 1e6;
const MICRO_PER_DOLLAR = 1e6;
/** How many tokens the library is asked about to learn the price of one. */
const TOKENS_OF_PROBE = 1e6;
/** How many names are remembered. Upstreams may answer with any name. */
const MOST_SEARCHED = 1000;

/**
 * createPriceList uses the configured prices and the public prices of OpenAI's models. The public prices are
 * those of openai-prices.ts and of a table inside the package @pydantic/genai-prices, as of the day it was
 * published. The price list sends no requests. Neither source has prices of tools (searches, containers).
 *
 * @param settings has the configured prices, by the upstream's name of a model, with or without its date. They may
 * change.
 * @param options.now the clock that says which prices are in force, in Unix milliseconds. Default: this
 * process's.
 */
export function createPriceList(
  settings: Pick<Models, 'prices'>,
  { now = Date.now }: { now?: () => number } = {},
): PriceList {
  const configuredFor = (model: string): PriceConfig | undefined => {
    const { prices } = settings;
    const name = namesOf(model).find((candidate) => Object.hasOwn(prices, candidate));
    return name === undefined ? undefined : prices[name];
  };
  const knownCost = createKnownCosts();
  const costOf = ({ upstreamModel, usage, serviceTier, discount = 0 }: ResponseUsage): Cost | null => {
    if (usage === null || !isSound(usage)) return null;
    const day = utcDay(now());
    const factor = tierFactorOf(upstreamModel.replace(SNAPSHOT, ''), serviceTier, day);
    if (factor === null) return null;
    const own = configuredFor(upstreamModel);
    const parts = own === undefined ? knownCost(upstreamModel, usage, day) : configuredCost(own, usage);
    if (parts === null) return null;
    const pico =
      Math.round(parts.input * PICO_PER_MICRO) * factor.input +
      Math.round(parts.output * PICO_PER_MICRO) * factor.output;
    return {
      nano: Math.round((pico * (1 - discount)) / PICO_PER_NANO),
      listNano: Math.round(pico / PICO_PER_NANO),
      isEstimated: discount > 0 || !factor.isConfirmed || !parts.isConfirmed,
    };
  };
  const expectedCostOf = (
    { upstreamModel, inputTokens, outputTokens, serviceTier = null, discount }: ExpectedUsage,
    written = 0,
  ): Cost | null =>
    costOf({
      usage: { ...freshUsage(inputTokens, outputTokens), cache_write_tokens: written },
      ...{ upstreamModel, serviceTier, discount },
    });
  return {
    costOf,
    expectedCostOf: (expected) => expectedCostOf(expected),
    highestCostOf: (expected) => expectedCostOf(expected, expected.inputTokens),
  };
}

/** The exact name is looked up first, then the name without its date. */
function namesOf(model: string): string[] {
  return [model, model.replace(SNAPSHOT, '')];
}

/** Cache writes cost the same as other input: the configuration has no price for them. */
function configuredCost({ input, cachedInput = input, output }: PriceConfig, usage: Usage): CostParts {
  const { input_tokens, cached_tokens, output_tokens } = usage;
  return {
    input: (input_tokens - cached_tokens) * input + cached_tokens * cachedInput,
    output: output_tokens * output,
    isConfirmed: true,
  };
}

type KnownCost = (usage: Usage) => CostParts | null;

/**
 * createKnownCosts returns a function that computes costs by the public prices; null: there are none. The
 * tables match whole names (some of them with any date), so an unknown model has no price.
 *
 * The table of the library is asked once a day for each name: a search took 3 % of a worker's time, and each
 * calculation of the library 10 to 25 µs.
 */
function createKnownCosts(): (model: string, usage: Usage, day: string) => CostParts | null {
  const costs = new Map<string, KnownCost | null>();
  let dayOfCosts = '';
  return (model, usage, today) => {
    // Some prices of the table begin on a day.
    if (today !== dayOfCosts || costs.size >= MOST_SEARCHED) costs.clear();
    dayOfCosts = today;
    for (const name of namesOf(model)) {
      const current = openAiCost(name, usage, today);
      if (current !== undefined) return current;
      let cost = costs.get(name);
      if (cost === undefined) {
        cost = knownCostOf(name);
        costs.set(name, cost);
      }
      if (cost !== null) return cost(usage);
    }
    return null;
  };
}

/** Returns null when the table lacks the model. */
function knownCostOf(name: string): KnownCost | null {
  const found = calcPrice({}, name, { providerId: 'openai' });
  if (found === null) return null;
  const provider: Provider = { ...found.provider, models: [found.model] };
  const partsOf = (used: Parameters<typeof calcPrice>[0]): CostParts => {
    const price = calcPrice(used, name, { provider });
    const input = (price?.input_price ?? 0) * MICRO_PER_DOLLAR;
    return { input, output: (price?.output_price ?? 0) * MICRO_PER_DOLLAR, isConfirmed: true };
  };
  const { input_mtok: input, output_mtok: output, ...others } = found.model_price;
  // Some models have only one of the two prices (embeddings, transcriptions). The missing price would count
  // as 0.
  if (input === undefined || output === undefined) return () => null;
  const prices = [input, output, others['cache_read_mtok'], others['cache_write_mtok']];
  if (prices.some((price) => typeof price === 'object')) {
    // The price depends on the number of tokens.
    return (usage) =>
      partsOf({
        input_tokens: usage.input_tokens,
        cache_read_tokens: usage.cached_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
      });
  }
  const tokens = TOKENS_OF_PROBE;
  const ofInput = (more: Parameters<typeof calcPrice>[0]): number =>
    partsOf({ input_tokens: tokens, ...more }).input / tokens;
  const rates = {
    input: ofInput({}),
    cached: ofInput({ cache_read_tokens: tokens }),
    cacheWrite: ofInput({ cache_write_tokens: tokens }),
    output: partsOf({ output_tokens: tokens }).output / tokens,
  };
  return ({ input_tokens, cached_tokens, cache_write_tokens, output_tokens }) => ({
    input:
      (input_tokens - cached_tokens - cache_write_tokens) * rates.input +
      cached_tokens * rates.cached +
      cache_write_tokens * rates.cacheWrite,
    output: output_tokens * rates.output,
    isConfirmed: true,
  });
}

/** Other servers may send any counts; the library throws on impossible counts. */
function isSound(usage: Usage): boolean {
  const { input_tokens, cached_tokens, cache_write_tokens, output_tokens } = usage;
  const { cache_write_12h_tokens = 0 } = usage;
  const counts = [input_tokens, cached_tokens, cache_write_tokens, cache_write_12h_tokens, output_tokens];
  return (
    counts.every((count) => Number.isFinite(count) && count >= 0) &&
    cached_tokens + cache_write_tokens <= input_tokens &&
    cache_write_12h_tokens <= cache_write_tokens
  );
}

function freshUsage(inputTokens: number, outputTokens: number): Usage {
  return {
    input_tokens: inputTokens,
    cached_tokens: 0,
    cache_write_tokens: 0,
    output_tokens: outputTokens,
    reasoning_tokens: 0,
    total_tokens: inputTokens + outputTokens,
  };
}
