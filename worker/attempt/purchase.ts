import type { CompletionWindow } from '../../src/job/completion-window.ts';
import type { TraceContext } from '../../src/job/fields/trace-context.ts';
import { upstreamHeadersIn } from '../../src/job/fields/upstream-headers.ts';
import { needOf } from '../../src/job/stored-options.ts';
import type { ResponseEvent } from '../../src/responses/event.ts';
import { isFields } from '../../src/responses/output-item-fields.ts';
import { serviceTierOf, type UpstreamResponse, usageOf } from '../../src/responses/response.ts';
import type { RunRecord } from '../../src/run/record.ts';
import type { Estimate, Spent } from '../../src/run/spent.ts';
import type { PriceList } from '../../src/usage/price.ts';
import { hasEnded, isUnnamed, type RunningResponse } from '../upstream/running-response.ts';

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

/** Pricing is what the price of a response depends on, beside what the response reports. */
export interface Pricing {
  prices: PriceList;
  /** The discount of the completion window in which the response was bought, 0 to 1. Default 0. */
  discount?: number | undefined;
}

/**
 * spentOn returns what an ended response has cost, by the usage, model and service tier that it reports.
 * @param estimate what is booked when the response reports no usage.
 */
export function spentOn(
  response: UpstreamResponse,
  { prices, discount }: Pricing,
  estimate: Estimate | undefined = undefined,
): Spent {
  const usage = usageOf(response);
  const serviceTier = serviceTierOf(response);
  const cost =
    response.model === undefined
      ? null
      : prices.costOf({ upstreamModel: response.model, usage, serviceTier, discount });
  return { responseId: response.id, usage, cost, ...(usage === null && { estimate }) };
}

/** Estimated is what an estimate is computed from. */
export interface Estimated extends Pricing {
  /** The job's data, unchecked. */
  data: unknown;
  upstreamModel: string;
  /** Input and output tokens; 0: unknown. */
  reservedTokens: number;
  /** Bytes that the upstream has streamed for the response: text, reasoning, arguments of calls; no audio. */
  streamedBytes: number;
}

/**
 * estimateOf returns what a response has probably used: what was reserved for it or what it has streamed,
 * whichever is more.
 * @param response the response as the upstream left it. When its end was not seen, only its id is needed.
 * @param options.hasFailed whether the response has failed at the upstream.
 * @returns undefined for a response that reports its usage, and for one that has failed at the upstream:
 * upstreams do not bill those.
 */
export function estimateOf(
  { data, upstreamModel, prices, discount = 0, reservedTokens, streamedBytes }: Estimated,
  response: UpstreamResponse,
  { hasFailed = response.status === 'failed' }: { hasFailed?: boolean } = {},
): Estimate | undefined {
  if (hasFailed || usageOf(response) !== null) return undefined;
  const { input: inputTokens, tier: serviceTier = null } = needOf(bodyIn(data));
  const streamed = Math.ceil(streamedBytes / BYTES_PER_TOKEN);
  const outputTokens = Math.max(reservedTokens - inputTokens, streamed, 0);
  const isFinal = hasEnded(response) && response.status !== 'cancelled';
  return {
    inputTokens,
    outputTokens,
    cost: prices.expectedCostOf({ upstreamModel, inputTokens, outputTokens, serviceTier, discount }),
    discount,
    isOpen: !isFinal && !isUnnamed(response),
    headers: upstreamHeadersIn(data),
  };
}

/** estimateOfCreate returns what a create has probably cost whose response has no known id. */
export function estimateOfCreate(known: Omit<Estimated, 'streamedBytes'>): Estimate | undefined {
  const estimate = estimateOf({ ...known, streamedBytes: 0 }, { id: '' });
  return estimate && { ...estimate, isOpen: false };
}

/**
 * In English text a token has about four bytes. Other scripts have more bytes for each character, and also
 * more tokens.
 */
const BYTES_PER_TOKEN = 4;

/** bodyIn returns the body of a job's request, unchecked. */
export function bodyIn(data: unknown): Record<string, unknown> {
  if (!isFields(data)) return {};
  return isFields(data['request']) ? data['request'] : data;
}

/**
 * bytesIn returns how many bytes of an answer an event contains. Audio counts as 0: it is billed by its
 * duration.
 */
export function bytesIn({ type, delta }: ResponseEvent): number {
  return typeof delta === 'string' && type !== 'response.audio.delta' ? Buffer.byteLength(delta) : 0;
}
