import { calcPrice, type Provider } from '@pydantic/genai-prices';
import type { PriceConfig } from '../config/file.ts';
import type { Usage } from '../job/view.ts';
import { lacksFlex, latestCost } from './openai-prices.ts';

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
}

/** ExpectedUsage is what a job is expected to use. */
export interface ExpectedUsage {
  upstreamModel: string;
  inputTokens: number;
  outputTokens: number;
  /** The tier that the request asks for. `auto` may become any tier. Default: the default tier. */
  serviceTier?: string | null;
}

/**
 * PriceList computes what responses cost, in whole nano-dollars, so that sums are exact. An unknown cost is
 * null, never 0.
 */
export interface PriceList {
  costOf(used: ResponseUsage): number | null;
  expectedCostOf(expected: ExpectedUsage): number | null;
}

const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;
const PICO_PER_DOLLAR = 1e12;
const PICO_PER_NANO = 1000;
/** One dollar per million tokens. */
const PICO_PER_TOKEN = 1e6;
const DAY_MS = 86_400_000;
/** How many tokens the library is asked about to learn the price of one. */
const TOKENS_OF_PROBE = 1e6;
/** How many names are remembered. Upstreams may answer with any name. */
const MOST_SEARCHED = 1000;

/**
 * createPriceList uses the configured prices and the public prices of OpenAI's models. The public prices are
 * those of openai-prices.ts and of a table inside the package @pydantic/genai-prices, as of the day it was
 * published. The price list sends no requests. Neither source has prices of tools (searches, containers).
 *
 * @param configured by the upstream's name of a model, with or without its date.
 */
export function createPriceList(configured: Readonly<Record<string, PriceConfig>>): PriceList {
  const configuredFor = (model: string): PriceConfig | undefined => {
    const name = namesOf(model).find((candidate) => Object.hasOwn(configured, candidate));
    return name === undefined ? undefined : configured[name];
  };
  const knownCost = createKnownCosts();
  const costOf = ({ upstreamModel, usage, serviceTier }: ResponseUsage): number | null => {
    const factor = tierFactor(serviceTier, upstreamModel);
    if (usage === null || factor === null || !isSound(usage)) return null;
    const own = configuredFor(upstreamModel);
    const pico = own === undefined ? knownCost(upstreamModel, usage) : configuredCost(own, usage);
    return pico === null ? null : Math.round((Math.round(pico) * factor) / PICO_PER_NANO);
  };
  return {
    costOf,
    expectedCostOf: ({ upstreamModel, inputTokens, outputTokens, serviceTier = null }) =>
      costOf({ upstreamModel, usage: freshUsage(inputTokens, outputTokens), serviceTier }),
  };
}

/** The exact name is looked up first, then the name without its date. */
function namesOf(model: string): string[] {
  return [model, model.replace(SNAPSHOT, '')];
}

/** Cache writes cost the same as other input: the configuration has no price for them. */
function configuredCost({ input, cachedInput = input, output }: PriceConfig, usage: Usage): number {
  const { input_tokens, cached_tokens, output_tokens } = usage;
  const dollars =
    (input_tokens - cached_tokens) * input + cached_tokens * cachedInput + output_tokens * output;
  return dollars * PICO_PER_TOKEN;
}

/** KnownCost computes the cost of a usage in pico-dollars. */
type KnownCost = (usage: Usage) => number | null;

/**
 * createKnownCosts returns a function that computes costs in pico-dollars by the public prices; null: there
 * are none. The table matches whole names (some of them with any date), so an unknown model has no price.
 *
 * The table of the library is asked once a day for each name: a search took 3 % of a worker's time, and each
 * calculation of the library 10 to 25 µs.
 */
function createKnownCosts(): (model: string, usage: Usage) => number | null {
  const costs = new Map<string, KnownCost | null>();
  let dayOfCosts = 0;
  return (model, usage) => {
    // Some prices of the table begin on a day.
    const today = Math.floor(Date.now() / DAY_MS);
    if (today !== dayOfCosts || costs.size >= MOST_SEARCHED) costs.clear();
    dayOfCosts = today;
    for (const name of namesOf(model)) {
      const latest = latestCost(name, usage);
      if (latest !== undefined) return latest * PICO_PER_TOKEN;
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
  const picoOf = (usage: Parameters<typeof calcPrice>[0]): number =>
    (calcPrice(usage, name, { provider })?.total_price ?? 0) * PICO_PER_DOLLAR;
  const { input_mtok: input, output_mtok: output, ...others } = found.model_price;
  // Some models have only one of the two prices (embeddings, transcriptions). The missing price would count
  // as 0.
  if (input === undefined || output === undefined) return () => null;
  const prices = [input, output, others['cache_read_mtok'], others['cache_write_mtok']];
  if (prices.some((price) => typeof price === 'object')) {
    // The price depends on the number of tokens.
    return (usage) =>
      picoOf({
        input_tokens: usage.input_tokens,
        cache_read_tokens: usage.cached_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
      });
  }
  const perToken = (usage: Parameters<typeof calcPrice>[0]): number => picoOf(usage) / TOKENS_OF_PROBE;
  const tokens = TOKENS_OF_PROBE;
  const rates = {
    input: perToken({ input_tokens: tokens }),
    cached: perToken({ input_tokens: tokens, cache_read_tokens: tokens }),
    cacheWrite: perToken({ input_tokens: tokens, cache_write_tokens: tokens }),
    output: perToken({ output_tokens: tokens }),
  };
  return ({ input_tokens, cached_tokens, cache_write_tokens, output_tokens }) =>
    (input_tokens - cached_tokens - cache_write_tokens) * rates.input +
    cached_tokens * rates.cached +
    cache_write_tokens * rates.cacheWrite +
    output_tokens * rates.output;
}

/** A tier is a factor on all prices of a model. An unknown tier has no known price. */
function tierFactor(tier: string | null, model: string): number | null {
  switch (tier) {
    case null:
    case 'auto':
    case 'default':
      return 1;
    case 'flex':
      return namesOf(model).some(lacksFlex) ? null : 0.5;
    case 'priority':
      return namesOf(model).includes('gpt-5.5') ? 2.5 : 2;
    default:
      return null;
  }
}

/** Other servers may send any counts; the library throws on impossible counts. */
function isSound({ input_tokens, cached_tokens, cache_write_tokens, output_tokens }: Usage): boolean {
  const counts = [input_tokens, cached_tokens, cache_write_tokens, output_tokens];
  return (
    counts.every((count) => Number.isFinite(count) && count >= 0) &&
    cached_tokens + cache_write_tokens <= input_tokens
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
