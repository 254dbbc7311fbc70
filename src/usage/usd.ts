export const NANO_PER_DOLLAR = 1e9;
const FORMAT = new Intl.NumberFormat('en-US', {
  maximumFractionDigits: 2,
  maximumSignificantDigits: 4,
  roundingPriority: 'morePrecision',
});

/** usdFrom converts nano-dollars, the unit of the stored sums, to dollars; null (unknown) stays null. */
export function usdFrom(nano: number | null | undefined): number | null {
  return nano === null || nano === undefined ? null : nano / NANO_PER_DOLLAR;
}

/** formatUsd writes `$0.01235` or `$1,234.57`: four significant digits, and at least cents. */
export function formatUsd(usd: number): string {
  const [whole, fraction = ''] = FORMAT.format(usd).split('.');
  return `$${whole}.${fraction.padEnd(2, '0')}`;
}
