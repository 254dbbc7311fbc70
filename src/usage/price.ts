import { calcPrice } from '@pydantic/genai-prices';
import type { PriceConfig } from '../config/file.ts';
import type { Usage } from '../job/view.ts';

/** What a response has used, as its reply says it. */
export interface Bill {
  /** As the reply names it, `o3-2025-04-16`. */
  upstreamModel: string;
  /** null: the reply does not say. */
  usage: Usage | null;
  /** The tier that the response was served in; null: the reply does not say, which means the default one. */
  serviceTier: string | null;
}

/** What is about to be used. */
export interface Estimate {
  upstreamModel: string;
  inputTokens: number;
  outputTokens: number;
  /** As it is asked for; `auto` may become any. Default: the default one. */
  serviceTier?: string | null;
}

/** Prices of models, in whole nano-dollars, so that sums are exact. null: nobody knows; never 0 for that. */
export interface PriceList {
  costOf(bill: Bill): number | null;
  estimateOf(estimate: Estimate): number | null;
}

const SNAPSHOT = /-\d{4}-\d{2}-\d{2}$/;
const PICO_PER_DOLLAR = 1e12;
const PICO_PER_NANO = 1000;
/** A dollar for a million tokens. */
const PICO_PER_TOKEN = 1e6;

/**
 * The configured prices, and those that are publicly known of OpenAI's models: a table that comes with the package, of the day it was
 * published; nothing is fetched. Prices of tools (searches, containers) are in neither.
 *
 * @param configured by the upstream's name of a model, with or without its date.
 */
export function createPriceList(configured: Readonly<Record<string, PriceConfig>>): PriceList {
  const configuredFor = (model: string): PriceConfig | undefined => {
    const name = namesOf(model).find((candidate) => Object.hasOwn(configured, candidate));
    return name === undefined ? undefined : configured[name];
  };
  const costOf = ({ upstreamModel, usage, serviceTier }: Bill): number | null => {
    const factor = tierFactor(serviceTier, upstreamModel);
    if (usage === null || factor === null || !isSound(usage)) return null;
    const own = configuredFor(upstreamModel);
    const pico = own === undefined ? knownCost(upstreamModel, usage) : configuredCost(own, usage);
    return pico === null ? null : Math.round((Math.round(pico) * factor) / PICO_PER_NANO);
  };
  return {
    costOf,
    estimateOf: ({ upstreamModel, inputTokens, outputTokens, serviceTier = null }) =>
      costOf({ upstreamModel, usage: freshUsage(inputTokens, outputTokens), serviceTier }),
  };
}

/** Exactly as it is called, then without its date. */
function namesOf(model: string): string[] {
  return [model, model.replace(SNAPSHOT, '')];
}

/** Cache writes cost what other input does: who configures two prices knows of no third. */
function configuredCost({ input, cachedInput = input, output }: PriceConfig, usage: Usage): number {
  const { input_tokens, cached_tokens, output_tokens } = usage;
  const dollars =
    (input_tokens - cached_tokens) * input + cached_tokens * cachedInput + output_tokens * output;
  return dollars * PICO_PER_TOKEN;
}

/** Its models are matched by their names as a whole, some with any date; so a model that nobody has heard of has no price. */
function knownCost(model: string, usage: Usage): number | null {
  for (const name of namesOf(model)) {
    const known = calcPrice(
      {
        input_tokens: usage.input_tokens,
        cache_read_tokens: usage.cached_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
      },
      name,
      { providerId: 'openai' },
    );
    if (known === null) continue;
    // Of some models it knows only a part (embeddings, transcriptions, a moderation that is free): what is missing would count as 0.
    const { input_mtok: input, output_mtok: output } = known.model_price;
    return input === undefined || output === undefined ? null : known.total_price * PICO_PER_DOLLAR;
  }
  return null;
}

/** A tier is a factor on all prices of a model. One that nobody has heard of may cost anything. */
function tierFactor(tier: string | null, model: string): number | null {
  switch (tier) {
    case null:
    case 'auto':
    case 'default':
      return 1;
    case 'flex':
      return 0.5;
    case 'priority':
      return namesOf(model).includes('gpt-5.5') ? 2.5 : 2;
    default:
      return null;
  }
}

/** Other servers count as they like; the library throws at what cannot be. */
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
