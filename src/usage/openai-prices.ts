import type { Usage } from '../job/view.ts';

/** Rates are the prices of one model, in US dollars for a million tokens. */
interface Rates {
  input: number;
  cachedInput: number;
  /** Writes to the cache that live for 30 minutes. */
  cacheWrite: number;
  /** Writes that live for 12 hours. Absent: OpenAI has published no price, and 2.5 times the input is used. */
  cacheWrite12h?: number;
  output: number;
  /** The first day of these prices, `YYYY-MM-DD`. Absent: as long as the model has existed. */
  from?: string;
  /** The last day for which OpenAI has confirmed these prices, `YYYY-MM-DD`. Absent: they have no end. */
  confirmedUntil?: string;
}

/** PartFactor multiplies the prices of input (also of the cache) and of output. */
interface PartFactor {
  input: number;
  output: number;
}

/** TierFactor is what a service tier does to the prices of a model. */
export interface TierFactor extends PartFactor {
  /** Whether OpenAI has published it. */
  isConfirmed: boolean;
}

/** CostParts is the cost of a usage in millionths of a dollar, in the tier `default`. */
export interface CostParts {
  input: number;
  output: number;
  /** Whether the price and the counts are certain. */
  isConfirmed: boolean;
}

interface ModelPrices {
  /** The earliest first. */
  rates: readonly [Rates, ...Rates[]];
  /** Whether all tokens of a request with more than LONG_INPUT input tokens cost more. */
  hasLongInput: boolean;
}

/** A request with more input tokens than this costs more: all its tokens have the higher prices. */
export const LONG_INPUT = 272_000;
const LONG_FACTOR: PartFactor = { input: 2, output: 1.5 };
const PLAIN_FACTOR: PartFactor = { input: 1, output: 1 };
const CACHE_WRITE_12H_FACTOR = 2.5;

/**
 * OpenAI's current models, from their model pages as of 2026-11-28. Only whole names match:
 * `gpt-6.2-astra-law` is not `gpt-6.2-astra`. The package @pydantic/genai-prices 0.1.8 knows none of
 * gpt-6.1-*, gpt-6.2-* and gpt-*-cyber.
 */
const PRICES: Readonly<Record<string, ModelPrices>> = {
  // OpenAI charges nothing extra for the cache of o3.
  o3: {
    rates: [{ input: 2, cachedInput: 0.5, cacheWrite: 2, output: 8, from: '2025-06-10' }],
    hasLongInput: false,
  },
  'gpt-5.6-sol': {
    rates: [
      { input: 5, cachedInput: 0.5, cacheWrite: 6.25, output: 30 },
      {
        ...{ input: 4, cachedInput: 0.4, cacheWrite: 5, output: 20 },
        // A promotion, "at least through 2026-11-21". No end was announced since.
        ...{ from: '2026-08-21', confirmedUntil: '2026-11-21' },
      },
    ],
    hasLongInput: true,
  },
  'gpt-5.6-terra': long({ input: 2, cachedInput: 0.2, cacheWrite: 2.5, output: 12, from: '2026-07-30' }),
  'gpt-5.6-luna': long({ input: 0.2, cachedInput: 0.02, cacheWrite: 0.25, output: 1.2, from: '2026-07-30' }),
  'gpt-5.6-cyber': long({ input: 12.5, cachedInput: 1.25, cacheWrite: 15.625, output: 75 }),
  'gpt-6-astra': long({ input: 10, cachedInput: 1, cacheWrite: 12.5, output: 50, from: '2026-09-03' }),
  'gpt-6-sol': long({ input: 2, cachedInput: 0.2, cacheWrite: 2.5, output: 10, from: '2026-09-22' }),
  'gpt-6-luna': long({ input: 0.1, cachedInput: 0.01, cacheWrite: 0.125, output: 0.5 }),
  'gpt-6-cyber': long({ input: 20, cachedInput: 2, cacheWrite: 25, output: 100 }),
  'gpt-6.1-sol': long({ input: 2, cachedInput: 0.1, cacheWrite: 2.5, output: 10, from: '2026-09-29' }),
  'gpt-6.1-terra': long({
    ...{ input: 1, cachedInput: 0.05, cacheWrite: 1.25, cacheWrite12h: 2.5, output: 5, from: '2026-10-26' },
  }),
  'gpt-6.2-sol': long({
    ...{ input: 2, cachedInput: 0.1, cacheWrite: 2.5, cacheWrite12h: 5, output: 10, from: '2026-11-17' },
  }),
  'gpt-6.2-astra': long({
    ...{ input: 8, cachedInput: 0.4, cacheWrite: 10, cacheWrite12h: 20, output: 40, from: '2026-11-17' },
  }),
};

function long(rates: Rates): ModelPrices {
  return { rates: [rates], hasLongInput: true };
}

/** OpenAI winds the tier flex down: gpt-6.2 and later models do not have it. */
const WITHOUT_FLEX: readonly string[] = ['gpt-6.2-sol', 'gpt-6.2-astra'];

/**
 * What the tier priority (`fast` in requests) costs, from https://openai.com/api-fast-mode/ and the model
 * pages. These are factors on the prices above or on those of @pydantic/genai-prices.
 */
const PRIORITY: Readonly<Record<string, TierFactor>> = {
  ...all(['gpt-5', 'gpt-5.1', 'gpt-5.2', 'gpt-5.4', 'gpt-5.4-mini'], 2),
  ...all(['gpt-5.6-terra', 'gpt-5.6-luna', 'gpt-6-astra', 'gpt-6-sol', 'gpt-6-luna'], 2),
  ...all(['gpt-6.1-sol', 'gpt-6.1-terra', 'gpt-6.2-sol', 'gpt-6.2-astra'], 2),
  ...all(['gpt-5.5'], 2.5),
  ...all(['gpt-5-mini'], 1.8),
  ...all(['gpt-4.1'], 1.75),
  // 3.50 and 14 dollars; OpenAI's page of that price is gone.
  o3: { input: 1.75, output: 1.75, isConfirmed: false },
  // 10 and 60 dollars, twice the price before the promotion. The page may be older than the promotion.
  'gpt-5.6-sol': { input: 2.5, output: 3, isConfirmed: false },
};

function all(models: readonly string[], factor: number): Record<string, TierFactor> {
  const tier = { input: factor, output: factor, isConfirmed: true };
  return Object.fromEntries(models.map((model) => [model, tier]));
}

/** The factors of the tier ultrafast: the latest first, with its first day. */
const ULTRAFAST: Readonly<Record<string, readonly { from: string; factor: number }[]>> = {
  'gpt-6-astra': [{ from: '', factor: 6 }],
  'gpt-6.1-sol': [{ from: '', factor: 6 }],
  'gpt-6.2-sol': [
    { from: '2027-03-01', factor: 6 },
    { from: '', factor: 3 },
  ],
};

/**
 * openAiCost returns the cost of a usage in the tier `default`; undefined: the table lacks the model.
 * @param day the day of the price, `YYYY-MM-DD`.
 */
export function openAiCost(model: string, usage: Usage, day: string): CostParts | undefined {
  const prices = Object.hasOwn(PRICES, model) ? PRICES[model] : undefined;
  if (prices === undefined) return undefined;
  const rates = prices.rates.findLast(({ from = '' }) => from <= day) ?? prices.rates[0];
  const { cacheWrite12h, confirmedUntil = day } = rates;
  const { input_tokens, cached_tokens, cache_write_tokens: written, output_tokens } = usage;
  const { cache_write_12h_tokens: writtenFor12h = 0 } = usage;
  const isLong = prices.hasLongInput && input_tokens > LONG_INPUT;
  const factor = isLong ? LONG_FACTOR : PLAIN_FACTOR;
  const input =
    (input_tokens - cached_tokens - written) * rates.input +
    cached_tokens * rates.cachedInput +
    (written - writtenFor12h) * rates.cacheWrite +
    writtenFor12h * (cacheWrite12h ?? rates.input * CACHE_WRITE_12H_FACTOR);
  return {
    input: input * factor.input,
    output: output_tokens * rates.output * factor.output,
    isConfirmed: day <= confirmedUntil && isWriteConfirmed(usage, cacheWrite12h),
  };
}

/**
 * Without details all writes count as those of 30 minutes, which is a guess where the model has both. The
 * 12-hour writes of a model without such a price are a guess as well.
 */
function isWriteConfirmed(usage: Usage, cacheWrite12h: number | undefined): boolean {
  const { cache_write_tokens: written, cache_write_12h_tokens: writtenFor12h } = usage;
  if (writtenFor12h === undefined) return written === 0 || cacheWrite12h === undefined;
  return writtenFor12h === 0 || cacheWrite12h !== undefined;
}

/**
 * tierFactorOf returns what a service tier does to the prices of a model; null: the price is unknown.
 * @param tier null: the upstream named none, which means the tier `default`. `auto` may become any tier, and
 * counts as `default`.
 * @param day the day of the price, `YYYY-MM-DD`.
 */
export function tierFactorOf(model: string, tier: string | null, day: string): TierFactor | null {
  switch (tier) {
    case null:
    case 'auto':
    case 'default':
      return { ...PLAIN_FACTOR, isConfirmed: true };
    case 'flex':
      return WITHOUT_FLEX.includes(model) ? null : { input: 0.5, output: 0.5, isConfirmed: true };
    case 'priority':
    case 'fast': {
      const known = Object.hasOwn(PRIORITY, model) ? PRIORITY[model] : undefined;
      return known ?? { input: 2, output: 2, isConfirmed: false };
    }
    case 'ultrafast': {
      const factors = Object.hasOwn(ULTRAFAST, model) ? ULTRAFAST[model] : undefined;
      const factor = factors?.find(({ from }) => from <= day)?.factor;
      return factor === undefined ? null : { input: factor, output: factor, isConfirmed: true };
    }
    default:
      return null;
  }
}
