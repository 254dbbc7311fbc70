export const NANO_PER_DOLLAR = 1e9;
const FORMAT = new Intl.NumberFormat('en-US', {
  maximumFractionDigits: 2,
  maximumSignificantDigits: 4,
  roundingPriority: 'morePrecision',
});

/** Dollars from the whole nano-dollars that sums are kept in; unknown stays unknown. */
export function usdFrom(nano: number | null | undefined): number | null {
  return nano === null || nano === undefined ? null : nano / NANO_PER_DOLLAR;
}

/** `$0.01235`, `$1,234.57`: four significant digits, and cents at least. */
export function formatUsd(usd: number): string {
  const [whole, fraction = ''] = FORMAT.format(usd).split('.');
  return `$${whole}.${fraction.padEnd(2, '0')}`;
}
