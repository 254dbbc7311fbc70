import type { CompletionWindow } from '../../../src/job/completion-window.ts';
import type { TraceContext } from '../../../src/job/fields/trace-context.ts';
import type { RunRecord } from '../../../src/run/record.ts';
import { hasEnded, type RunningResponse } from '../../upstream/running-response.ts';

/** Purchase is a response that was paid for, and how far it has been followed. */
export interface Purchase {
  running: RunningResponse;
  /** The sequence number of the last stream event that was seen. */
  cursor: number | undefined;
  outputCharacters: number;
  /** When the response was created, by the clock of Redis, in Unix milliseconds. */
  createdAt: number;
  /** The span of the create that bought it; undefined: its worker traces nothing. */
  trace: TraceContext | undefined;
}

/**
 * PurchaseEvent is what the log and the metrics count. `bought`: the upstream accepted a create. `adopted`:
 * the attempt follows a response that another attempt bought. `uncertain`: the outcome of a create stays
 * unknown.
 */
export type PurchaseEvent = 'bought' | 'adopted' | 'uncertain';

/**
 * newPurchase returns a purchase that has not been followed yet.
 * @param trace see Purchase.
 */
export function newPurchase(
  bought: RunningResponse,
  createdAt: number,
  trace: TraceContext | undefined,
): Purchase {
  const { background, streamed, simulated, events } = bought;
  const { id, status } = bought.response;
  // A response that is polled is looked up whole. Until then its first form would only take a kilobyte.
  const isPolled = background && events === undefined && !hasEnded(bought.response);
  const response = isPolled ? { id, status: status ?? 'in_progress' } : bought.response;
  const running = { response, background, streamed, simulated, events };
  return { running, cursor: undefined, outputCharacters: 0, createdAt, trace };
}

/**
 * purchaseToAdopt returns the response that an earlier attempt bought, if the record has one. Only a
 * background response survives its worker: a foreground response ends with its connection.
 * @param now the time of Redis, in Unix milliseconds.
 */
export function purchaseToAdopt(record: RunRecord, now: number): Purchase | undefined {
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
    createdAt: record.responseCreatedAt ?? now,
    trace: record.purchaseTrace,
  };
}

/** identityOf returns what the record needs of a purchase so that another worker can adopt it. */
export function identityOf(
  { running: { response, background, streamed, simulated }, createdAt, trace }: Purchase,
  { completionWindow }: { completionWindow: CompletionWindow | undefined },
) {
  return {
    upstreamId: response.id,
    upstreamStatus: response.status ?? 'in_progress',
    background,
    streamed,
    simulated,
    responseCreatedAt: createdAt,
    ...(completionWindow !== undefined && { completionWindow }),
    ...(trace !== undefined && { purchaseTrace: trace }),
  };
}
