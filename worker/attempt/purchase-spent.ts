import type { Spent } from '../../src/run/record.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { Upstream } from '../upstream/client.ts';
import { type Purchase, stopSpending } from './purchase.ts';
import { spentOn } from './spent.ts';

/** Of a response whose end nobody has seen: bought all the same. */
export function spentUnseen(purchase: Purchase | undefined): Spent | null {
  if (purchase === undefined) return null;
  return { responseId: purchase.running.response.id, usage: null, costNano: null };
}

/** Tells the upstream to stop, and has from it what was used until then. */
export async function spentUntilStopped(
  purchase: Purchase | undefined,
  { upstream, prices }: { upstream: Upstream; prices: PriceList },
): Promise<Spent | null> {
  const stopped = await stopSpending(purchase, upstream);
  return stopped === null ? spentUnseen(purchase) : spentOn(stopped, prices);
}
