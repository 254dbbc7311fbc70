import { calcPrice } from '@pydantic/genai-prices';
import type { Usage } from '../../../src/job/view.ts';
import { createPriceList, type ResponseUsage } from '../../../src/usage/price.ts';

const prices = createPriceList({
  prices: {
    'my-model': { input: 3, cachedInput: 0.3, output: 9 },
    'o3-pro': { input: 1, cachedInput: undefined, output: 1 },
    'free-model': { input: 0, cachedInput: undefined, output: 0 },
    constructor: { input: 1, cachedInput: undefined, output: 1 },
  },
});

function usage(input: number, output: number, more: Partial<Usage> = {}): Usage {
  const counted = { input_tokens: input, output_tokens: output, total_tokens: input + output };
  return { ...counted, cached_tokens: 0, cache_write_tokens: 0, reasoning_tokens: 0, ...more };
}

/** In nano-dollars; of 1,000 input tokens and 500 output tokens by default. */
function costOf(upstreamModel: string, serviceTier: string | null = null, used = usage(1000, 500)) {
  return prices.costOf({ upstreamModel, usage: used, serviceTier })?.nano ?? null;
}

/** The cost on a day, in the tier `default` unless one is given. */
function costOn(day: string, upstreamModel: string, more: Partial<ResponseUsage> = {}) {
  const list = createPriceList({ prices: {} }, { now: () => Date.parse(day) });
  return list.costOf({ upstreamModel, usage: usage(1000, 500), serviceTier: null, ...more });
}

describe('the cost of a response', () => {
  it.each<[model: string, nano: number]>([
    ['o3', 1000 * 2000 + 500 * 8000],
    ['gpt-5', 1000 * 1250 + 500 * 10_000],
    ['gpt-5-nano', 1000 * 50 + 500 * 400],
    ['gpt-5.4', 1000 * 2500 + 500 * 15_000],
    ['o3-deep-research', 1000 * 10_000 + 500 * 40_000],
    // Not in @pydantic/genai-prices.
    ['gpt-6.1-sol', 1000 * 2000 + 500 * 10_000],
    ['gpt-6.1-terra', 1000 * 1000 + 500 * 5000],
    ['gpt-6.2-sol-2026-11-17', 1000 * 2000 + 500 * 10_000],
    ['gpt-6.2-astra', 1000 * 8000 + 500 * 40_000],
  ])('%s costs its public price', (model, nano) => {
    expect(costOf(model)).toBe(nano);
  });

  it('a model with any date costs the price of the model', () => {
    expect(costOf('o3-2025-04-16')).toBe(costOf('o3'));
    expect(costOf('o3-2031-12-24')).toBe(costOf('o3'));
    expect(costOf('my-model-2031-12-24')).toBe(costOf('my-model'));
  });

  it('cached input costs less, and writing to the cache costs more', () => {
    const cached = usage(1000, 500, { cached_tokens: 400 });
    expect(costOf('o3', null, cached)).toBe(600 * 2000 + 400 * 500 + 500 * 8000);
    const written = usage(1000, 500, { cached_tokens: 400, cache_write_tokens: 100 });
    expect(costOf('gpt-6-sol', null, written)).toBe(500 * 2000 + 400 * 200 + 100 * 2500 + 500 * 10_000);
  });

  it('the models that the package does not know have the same rules', () => {
    const used = usage(1000, 500, { cached_tokens: 400, cache_write_tokens: 100 });
    expect(costOf('gpt-6.1-sol', null, used)).toBe(500 * 2000 + 400 * 100 + 100 * 2500 + 500 * 10_000);
    expect(costOf('gpt-6.1-sol', null, usage(300_000, 1000))).toBe(300_000 * 4000 + 1000 * 15_000);
    expect(costOf('gpt-6.1-sol', 'flex')).toBe((costOf('gpt-6.1-sol') ?? 0) / 2);
    // Not served in that tier.
    expect(costOf('gpt-6.2-sol', 'flex')).toBeNull();
  });

  it('a write to the cache that lives for twelve hours costs twice as much as one of 30 minutes', () => {
    const details = { cache_write_tokens: 300, cache_write_12h_tokens: 100 };
    const used = usage(1000, 500, details);
    expect(costOf('gpt-6.2-sol', null, used)).toBe(700 * 2000 + 200 * 2500 + 100 * 5000 + 500 * 10_000);
    // By the rule: OpenAI has published no such price.
    expect(costOf('gpt-6-sol', null, used)).toBe(700 * 2000 + 200 * 2500 + 100 * 5000 + 500 * 10_000);
  });

  it('the whole of a request costs more when its input is longer than 272,000 tokens', () => {
    const cost = (tokens: number) =>
      costOf('gpt-6.2-sol', null, usage(tokens, 1000, { cached_tokens: 1000 }));
    expect(cost(272_000)).toBe(271_000 * 2000 + 1000 * 100 + 1000 * 10_000);
    expect(cost(272_001)).toBe(2 * (271_001 * 2000 + 1000 * 100) + 1.5 * 1000 * 10_000);
  });

  it('a price begins on its day', () => {
    expect(costOn('2026-08-20', 'gpt-5.6-sol')?.nano).toBe(1000 * 5000 + 500 * 30_000);
    expect(costOn('2026-08-21', 'gpt-5.6-sol')?.nano).toBe(1000 * 4000 + 500 * 20_000);
    const plain = costOn('2027-02-28', 'gpt-6.2-sol')?.nano ?? Number.NaN;
    expect(costOn('2027-02-28', 'gpt-6.2-sol', { serviceTier: 'ultrafast' })?.nano).toBe(3 * plain);
    expect(costOn('2027-03-01', 'gpt-6.2-sol', { serviceTier: 'ultrafast' })?.nano).toBe(6 * plain);
  });

  it('the discount of a completion window lowers the cost, and not the list price', () => {
    const used = usage(300_000, 1000, { cached_tokens: 100_000, cache_write_tokens: 1000 });
    const list = 2 * (199_000 * 2000 + 100_000 * 100 + 1000 * 2500) + 1.5 * 1000 * 10_000;
    const cost = { upstreamModel: 'gpt-6.2-sol', usage: used, serviceTier: 'default' };
    const costs = [0, 0.3, 0.4].map((discount) => prices.costOf({ ...cost, discount }));
    expect(costs.map((each) => each?.listNano)).toEqual([list, list, list]);
    expect(costs.map((each) => each?.nano)).toEqual([list, list * 0.7, list * 0.6].map(Math.round));
  });

  it('reasoning costs nothing extra, because it is part of the output', () => {
    expect(costOf('o3', null, usage(1000, 500, { reasoning_tokens: 450 }))).toBe(costOf('o3'));
  });

  it('a long input raises all prices of a response', () => {
    expect(costOf('gpt-5.4', null, usage(300_000, 1000))).toBe(300_000 * 5000 + 1000 * 22_500);
  });

  it.each<[tier: string | null, model: string, factor: number]>([
    [null, 'o3', 1],
    ['default', 'o3', 1],
    ['auto', 'o3', 1],
    ['flex', 'o3', 0.5],
    ['priority', 'o3', 1.75],
    ['priority', 'gpt-5-mini', 1.8],
    ['fast', 'gpt-6.2-sol', 2],
    ['ultrafast', 'gpt-6.1-sol', 6],
    ['priority', 'gpt-5.5-2026-04-23', 2.5],
    ['flex', 'my-model', 0.5],
  ])('the tier of the reply is a factor on the price: %s, of %s', (tier, model, factor) => {
    expect(costOf(model, tier)).toBe(factor * (costOf(model) ?? Number.NaN));
  });

  it('a cost is a whole number of nano-dollars', () => {
    expect(costOf('gpt-5-nano', 'flex', usage(0, 0, { input_tokens: 3, cached_tokens: 3 }))).toBe(8);
  });

  it('a configured price comes before a public one', () => {
    expect(costOf('my-model', null, usage(1000, 500, { cached_tokens: 400 }))).toBe(
      600 * 3000 + 400 * 300 + 500 * 9000,
    );
    expect(costOf('o3-pro-2025-06-10', null, usage(1000, 500, { cached_tokens: 400 }))).toBe(1_500_000);
    expect(costOf('free-model')).toBe(0);
    expect(costOf('constructor')).toBe(1_500_000);
  });
});

describe('a cost is an estimate', () => {
  it.each<[why: string, model: string, more: Partial<ResponseUsage>, isEstimated: boolean]>([
    ['no doubt', 'gpt-6.2-sol', {}, false],
    ['a configured price', 'my-model', {}, false],
    ['a tier with a published factor', 'gpt-6.2-sol', { serviceTier: 'priority' }, false],
    ['flex', 'o3', { serviceTier: 'flex' }, false],
    ['a discount, which the reply does not confirm', 'gpt-6.2-sol', { discount: 0.4 }, true],
    ['a tier without a published factor', 'my-model', { serviceTier: 'priority' }, true],
    ['a factor that was found once', 'o3', { serviceTier: 'priority' }, true],
    ['a write that may live for 12 hours', 'gpt-6.2-sol', { usage: written() }, true],
    ['a write whose life is known', 'gpt-6.2-sol', { usage: written(50) }, false],
    ['a 12-hour write without a price', 'gpt-6-sol', { usage: written(50) }, true],
    ['a write of a model with one price', 'gpt-6-sol', { usage: written() }, false],
  ])('for %s, of %s', (_, upstreamModel, more, isEstimated) => {
    const used = { upstreamModel, usage: usage(1000, 500), serviceTier: null, ...more };
    expect(prices.costOf(used)).toMatchObject({ isEstimated });
  });

  it('after the last day for which a promotion was promised', () => {
    expect(costOn('2026-11-21', 'gpt-5.6-sol')).toMatchObject({ isEstimated: false });
    expect(costOn('2026-11-22', 'gpt-5.6-sol')).toMatchObject({ isEstimated: true });
  });

  function written(for12h?: number): Usage {
    const details = for12h === undefined ? {} : { cache_write_12h_tokens: for12h };
    return usage(1000, 500, { cache_write_tokens: 100, ...details });
  }
});

describe('an unknown cost is null', () => {
  it.each([
    'gpt-99',
    'o3-of-another',
    'my-model-2',
    'gpt-6.2-astra-law',
    'llama3.2:3b',
    '',
    'toString',
    // Known to be there, but not what its output costs.
    'text-embedding-3-small',
    'moderation',
    'whisper-1',
  ])('the cost of %j is unknown', (model) => {
    expect(costOf(model)).toBeNull();
  });

  it('the cost in an unknown tier is unknown', () => {
    expect(costOf('o3', 'moonlight')).toBeNull();
    expect(costOf('free-model', 'moonlight')).toBeNull();
    expect(costOf('o3', 'ultrafast')).toBeNull();
  });

  it('the cost of a response without usage is unknown', () => {
    expect(prices.costOf({ upstreamModel: 'o3', usage: null, serviceTier: null })).toBeNull();
  });

  it.each([
    usage(10, 5, { cached_tokens: 11 }),
    usage(10, 5, { cached_tokens: 6, cache_write_tokens: 5 }),
    usage(10, 5, { cache_write_tokens: 1, cache_write_12h_tokens: 2 }),
    usage(-1, 5),
    usage(1, Number.NaN),
  ])('the cost of an impossible usage is unknown: %j', (nonsense) => {
    expect(costOf('o3', null, nonsense)).toBeNull();
    expect(costOf('my-model', null, nonsense)).toBeNull();
  });
});

test('the expected cost has no cached input', () => {
  const expected = { inputTokens: 1000, outputTokens: 500 };
  const expectedOf = (more: { upstreamModel: string; serviceTier?: string; discount?: number }) =>
    prices.expectedCostOf({ ...expected, ...more });
  expect(expectedOf({ upstreamModel: 'o3' })?.nano).toBe(costOf('o3'));
  expect(expectedOf({ upstreamModel: 'o3', serviceTier: 'flex' })?.nano).toBe(costOf('o3', 'flex'));
  const [nano, listNano] = [1000 * 1200 + 500 * 6000, 1000 * 2000 + 500 * 10_000];
  expect(expectedOf({ upstreamModel: 'gpt-6.2-sol', discount: 0.4 })).toEqual({
    ...{ nano, listNano, isEstimated: true },
  });
  expect(expectedOf({ upstreamModel: 'gpt-99' })).toBeNull();
});

it.each([
  'o3',
  'o3-mini',
  'gpt-5',
  'gpt-4.1',
  'gpt-4o',
  'gpt-5.4',
  'gpt-5.6-terra',
  'gpt-5.6-luna',
  'gpt-6-sol',
])('%s costs what the table of @pydantic/genai-prices says', (model) => {
  for (const input of [1, 1000, 271_999, 300_000]) {
    for (const cached of [0, Math.floor(input / 3)]) {
      const used = { input_tokens: input, cache_read_tokens: cached, output_tokens: 700 };
      const dollars = calcPrice(used, model, { providerId: 'openai' })?.total_price ?? Number.NaN;
      const cost = costOf(model, null, usage(input, 700, { cached_tokens: cached }));
      expect(Math.abs((cost ?? Number.NaN) - dollars * 1e9)).toBeLessThanOrEqual(1);
    }
  }
});
