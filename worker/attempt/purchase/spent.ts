import type { Failure } from '../../../src/errors/failure.ts';
import { upstreamHeadersIn } from '../../../src/job/fields/upstream-headers.ts';
import { needOf } from '../../../src/job/stored-options.ts';
import type { ResponseEvent } from '../../../src/responses/event.ts';
import { isFields } from '../../../src/responses/output-item-fields.ts';
import { serviceTierOf, type UpstreamResponse, usageOf } from '../../../src/responses/response.ts';
import type { Estimate, Spent } from '../../../src/run/spent.ts';
import type { PriceList } from '../../../src/usage/price.ts';
import { usdFrom } from '../../../src/usage/usd.ts';
import { hasEnded, isUnnamed } from '../../upstream/running-response.ts';
import { type Attempt, stopPurchase } from '../attempt-state.ts';

/** spentByNow stops the response if it still runs, and returns what the attempt has spent. */
export async function spentByNow(attempt: Attempt): Promise<Spent | null> {
  const response = attempt.ended ?? (await stopPurchase(attempt));
  return response === null ? spentUnseen(attempt) : spentAt(response, attempt);
}

/** spentAt returns what an ended response of the attempt has cost. */
export function spentAt(response: UpstreamResponse, attempt: Attempt): Spent {
  const spent = spentOn(response, attempt, estimateOf(attempt, response));
  attempt.trace.sawEnd(response, attempt.upstream.isSimulated() ? 0 : usdFrom(spent.cost?.nano));
  return spent;
}

/**
 * spentUnseen estimates the cost of a purchase when this worker did not see the end of the response.
 * @param failure why this worker did not see the end. When the failure has the upstream's words, the response
 * has failed at the upstream.
 */
export function spentUnseen(attempt: Attempt, failure?: Failure): Spent | null {
  const response = attempt.purchase?.running.response;
  if (response === undefined) return null;
  const { id } = response;
  const estimate = estimateOf(attempt, { id }, { hasFailed: failure?.refusal !== undefined });
  return { responseId: id, usage: null, cost: null, estimate };
}

/**
 * spentUncertain estimates what a create has cost whose outcome is unknown: what was reserved for it. The
 * estimate stays, because the response has no id by which it could be looked up.
 *
 * @returns null when no such create was sent, or when the simulator answers.
 */
export function spentUncertain(attempt: Attempt): Spent | null {
  if (!attempt.isUncertain || attempt.upstream.isSimulated()) return null;
  return { responseId: undefined, usage: null, cost: null, estimate: estimateOfCreate(attempt) };
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
