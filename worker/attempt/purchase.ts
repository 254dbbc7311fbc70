import { serviceTierOf, type UpstreamResponse, usageOf } from '../../src/responses/response.ts';
import type { RunRecord, Spent } from '../../src/run/record.ts';
import type { PriceList } from '../../src/usage/price.ts';
import type { RunningResponse } from '../upstream/running-response.ts';

/** Purchase is a response that is paid for, and how far it has been followed. */
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

/** newPurchase is a purchase of which nothing has been followed yet. */
export function newPurchase(running: RunningResponse, createdAt: number): Purchase {
  return { running, cursor: undefined, outputCharacters: 0, createdAt };
}

/**
 * purchaseToAdopt returns what an earlier attempt bought, as the record knows it. Only a background response
 * outlives its worker: a foreground response goes down with its connection.
 */
export function purchaseToAdopt(record: RunRecord): Purchase | undefined {
  if (record.upstreamId === undefined || !record.background) return undefined;
  return {
    running: {
      // The last known status is not kept. Only the upstream has the output of a response that has ended, so
      // it is looked up.
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

/** identityOf returns what the record must know of a purchase so that another worker can adopt it. */
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

/** spentOn returns what a response has cost, by what it says of itself when it has ended. */
export function spentOn(response: UpstreamResponse, prices: PriceList): Spent {
  const usage = usageOf(response);
  const serviceTier = serviceTierOf(response);
  const costNano =
    response.model === undefined
      ? null
      : prices.costOf({ upstreamModel: response.model, usage, serviceTier });
  return { responseId: response.id, usage, costNano };
}

/** spentUnseen books a purchase whose end was not seen: it was bought, at an unknown cost. */
export function spentUnseen(purchase: Purchase | undefined): Spent | null {
  if (purchase === undefined) return null;
  return { responseId: purchase.running.response.id, usage: null, costNano: null };
}
