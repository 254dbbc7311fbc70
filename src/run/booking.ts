import type { Spent } from './record.ts';

/** usageBookingOf returns the `booking` argument of the scripts that book usage; see `usageBooking` in src/lua/run.ts. */
export function usageBookingOf(spent: Spent | null, tenant: string | undefined): string {
  if (spent === null) return '';
  const { responseId, usage, costNano } = spent;
  return JSON.stringify({
    response: responseId ?? '',
    tenant: tenant ?? '',
    input: wholeText(usage?.input_tokens ?? 0),
    cached: wholeText(usage?.cached_tokens ?? 0),
    output: wholeText(usage?.output_tokens ?? 0),
    reasoning: wholeText(usage?.reasoning_tokens ?? 0),
    nano_usd: costNano === null ? '' : wholeText(costNano),
  });
}

/** Redis adds up nothing but whole numbers, and other servers may say anything. */
function wholeText(value: number): string {
  return Number.isSafeInteger(Math.round(value)) ? String(Math.round(value)) : '0';
}
