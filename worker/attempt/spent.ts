import { serviceTierOf, type UpstreamResponse, usageOf } from '../../src/responses/response.ts';
import type { Spent } from '../../src/run/record.ts';
import type { PriceList } from '../../src/usage/price.ts';

/** What a response has cost by what it says of itself when it has ended. */
export function spentOn(response: UpstreamResponse, prices: PriceList): Spent {
  const usage = usageOf(response);
  const serviceTier = serviceTierOf(response);
  const costNano =
    response.model === undefined
      ? null
      : prices.costOf({ upstreamModel: response.model, usage, serviceTier });
  return { responseId: response.id, usage, costNano };
}
