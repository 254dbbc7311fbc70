import type { Usage } from '../job/view.ts';

/** ModelPrice is the prices of one model, in US dollars for a million tokens. */
interface ModelPrice {
  input: number;
  cachedInput: number;
  cacheWrite: number;
  output: number;
  /** Whether the model is served in the tier flex, at half its prices. */
  hasFlex: boolean;
}

/**
 * The models of OpenAI that @pydantic/genai-prices 0.1.8 does not know, from OpenAI's model pages as of
 * 2026-11-28. Only whole names match: `gpt-6.2-astra-law` is not `gpt-6.2-astra`.
 */
const PRICES: Readonly<Record<string, ModelPrice>> = {
  'gpt-6.1-sol': { input: 2, cachedInput: 0.1, cacheWrite: 2.5, output: 10, hasFlex: true },
  'gpt-6.1-terra': { input: 1, cachedInput: 0.05, cacheWrite: 1.25, output: 5, hasFlex: true },
  'gpt-6.2-sol': { input: 2, cachedInput: 0.1, cacheWrite: 2.5, output: 10, hasFlex: false },
  'gpt-6.2-astra': { input: 8, cachedInput: 0.4, cacheWrite: 10, output: 40, hasFlex: false },
};

/** A request with more input tokens than this costs more: all its tokens have the higher prices. */
const LONG_INPUT = 272_000;
const LONG_INPUT_FACTOR = 2;
const LONG_OUTPUT_FACTOR = 1.5;

/**
 * latestCost returns the cost of a usage, in millionths of a dollar; undefined: the table lacks the model.
 */
export function latestCost(model: string, usage: Usage): number | undefined {
  const price = Object.hasOwn(PRICES, model) ? PRICES[model] : undefined;
  if (price === undefined) return undefined;
  const { input_tokens, cached_tokens, cache_write_tokens, output_tokens } = usage;
  const isLong = input_tokens > LONG_INPUT;
  const input =
    (input_tokens - cached_tokens - cache_write_tokens) * price.input +
    cached_tokens * price.cachedInput +
    cache_write_tokens * price.cacheWrite;
  return (
    input * (isLong ? LONG_INPUT_FACTOR : 1) +
    output_tokens * price.output * (isLong ? LONG_OUTPUT_FACTOR : 1)
  );
}

/** lacksFlex says whether a model is known not to be available in the tier flex. */
export function lacksFlex(model: string): boolean {
  return Object.hasOwn(PRICES, model) && PRICES[model]?.hasFlex === false;
}
