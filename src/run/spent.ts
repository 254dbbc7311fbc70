import type { UpstreamHeaders } from '../job/fields/upstream-headers.ts';
import type { Usage } from '../job/view.ts';
import type { Cost } from '../usage/price.ts';

/**
 * Spent is a response that has ended, and its cost. The script that stores the end also books it, unless it
 * is booked already.
 */
export interface Spent {
  /** The id of the response; undefined: the id in the record, or the create whose mark is there. */
  responseId: string | undefined;
  usage: Usage | null;
  /** null: the usage or the price is unknown. */
  cost: Cost | null;
  /**
   * What is booked in place of a usage that is unknown; undefined: the response is booked as a request
   * without tokens and without a price.
   */
  estimate?: Estimate | undefined;
}

/** Estimate is what a response has probably used, when the upstream has reported no usage. */
export interface Estimate {
  inputTokens: number;
  outputTokens: number;
  /** null: the price is unknown. */
  cost: Cost | null;
  /** The discount of the response's completion window, 0 to 1, by which a look-up prices what was used. */
  discount: number;
  /** Whether the upstream may still say what was used, so that a worker has to look the response up. */
  isOpen: boolean;
  /** The job's headers for the upstream, which are sent with such a look-up. */
  headers: UpstreamHeaders;
}

/**
 * The wait before the first look-up of a usage that was estimated, in milliseconds. By then most upstreams
 * know what a cancelled response has used.
 */
const FIRST_LOOK_MS = 5000;

/**
 * usageBookingOf returns the `booking` argument of the scripts that book usage; see `usageBooking` in
 * src/lua/usage.ts.
 * @param job.now the time of Redis, in Unix milliseconds.
 */
export function usageBookingOf(
  spent: Spent | null,
  { id, tenant = '', now }: { id: string; tenant: string | undefined; now: number },
): string {
  if (spent === null) return '';
  const { responseId, usage } = spent;
  const estimate = usage === null ? spent.estimate : undefined;
  const cost = estimate === undefined ? spent.cost : estimate.cost;
  return JSON.stringify({
    ...{ response: responseId ?? '', tenant, job: id, usage: JSON.stringify(usage) },
    input: wholeText(usage?.input_tokens ?? estimate?.inputTokens ?? 0),
    cached: wholeText(usage?.cached_tokens ?? 0),
    output: wholeText(usage?.output_tokens ?? estimate?.outputTokens ?? 0),
    reasoning: wholeText(usage?.reasoning_tokens ?? 0),
    nano_usd: cost === null ? '' : wholeText(cost.nano),
    saved_nano: cost === null ? '0' : wholeText(cost.listNano - cost.nano),
    estimated: estimate !== undefined || cost?.isEstimated ? '1' : '',
    discount: String(estimate?.discount ?? 0),
    look_at: estimate?.isOpen ? String(now + FIRST_LOOK_MS) : '',
    since: String(now),
    headers: JSON.stringify(estimate?.headers ?? {}),
  });
}

/** Redis adds only whole numbers, and other servers may report anything. */
function wholeText(value: number): string {
  return Number.isSafeInteger(Math.round(value)) ? String(Math.round(value)) : '0';
}
