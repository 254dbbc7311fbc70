import { serviceTierOf, type UpstreamResponse, usageOf } from '../../src/responses/response.ts';
import type { RunRecord, Spent } from '../../src/run/record.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { RunningResponse } from '../upstream/running-response.ts';

/** Purchase is a response that was paid for, and how far it has been followed. */
export interface Purchase {
  running: RunningResponse;
  /** The sequence number of the last stream event that was seen. */
  cursor: number | undefined;
  outputCharacters: number;
  /** When the response was created, by our clock, in milliseconds. */
  createdAt: number;
}

/**
 * PurchaseEvent is what the log and the metrics count. `bought`: the upstream accepted a create. `adopted`:
 * the attempt follows a response that another attempt bought. `uncertain`: the outcome of a create stays
 * unknown.
 */
export type PurchaseEvent = 'bought' | 'adopted' | 'uncertain';

/** newPurchase returns a purchase that has not been followed yet. */
export function newPurchase(running: RunningResponse, createdAt: number): Purchase {
  return { running, cursor: undefined, outputCharacters: 0, createdAt };
}

/**
 * purchaseToAdopt returns the response that an earlier attempt bought, if the record has one. Only a
 * background response survives its worker: a foreground response ends with its connection.
 */
export function purchaseToAdopt(record: RunRecord): Purchase | undefined {
  if (record.upstreamId === undefined || !record.background) return undefined;
  return {
    running: {
      // The last known status is not used. Only the upstream has the output of a response that has ended, so
      // the response is looked up.
      response: { id: record.upstreamId, status: 'queued' },
      background: true,
      streamed: record.streamed,
      simulated: record.simulated,
    },
    cursor: record.cursor,
    outputCharacters: record.outputCharacters,
    createdAt: record.responseCreatedAt ?? Date.now(),
  };
}

/** identityOf returns what the record needs of a purchase so that another worker can adopt it. */
export function identityOf({ running: { response, background, streamed, simulated }, createdAt }: Purchase) {
  return {
    upstreamId: response.id,
    upstreamStatus: response.status ?? 'in_progress',
    background,
    streamed,
    simulated,
    responseCreatedAt: createdAt,
  };
}

/** spentOn returns what an ended response has cost, by the usage, model and service tier that it reports. */
export function spentOn(response: UpstreamResponse, prices: PriceList): Spent {
  const usage = usageOf(response);
  const serviceTier = serviceTierOf(response);
  const costNano =
    response.model === undefined
      ? null
      : prices.costOf({ upstreamModel: response.model, usage, serviceTier });
  return { responseId: response.id, usage, costNano };
}

/** spentUnseen returns the cost of a purchase whose end was not seen: it was bought, at an unknown cost. */
export function spentUnseen(purchase: Purchase | undefined): Spent | null {
  if (purchase === undefined) return null;
  return { responseId: purchase.running.response.id, usage: null, costNano: null };
}
