import type { Spent } from './record.ts';

/** As the scripts take it: `BOOK_LUA` says how. */
export function usageBookingOf(spent: Spent | null, tenant: string | undefined): string {
  if (spent === null) return '';
  const { responseId, usage, costNano } = spent;
  const counts = [
    usage?.input_tokens ?? 0,
    usage?.cached_tokens ?? 0,
    usage?.output_tokens ?? 0,
    usage?.reasoning_tokens ?? 0,
  ];
  return JSON.stringify([
    responseId ?? '',
    tenant ?? '',
    ...counts.map(wholeText),
    costNano === null ? '' : wholeText(costNano),
  ]);
}

/** Redis adds up nothing but whole numbers, and other servers may say anything. */
function wholeText(value: number): string {
  return Number.isSafeInteger(Math.round(value)) ? String(Math.round(value)) : '0';
}
