import { USAGE_DIMENSIONS, type UsageDimension, type UsageRow } from '../../src/usage/report.ts';
import type { Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';

const NANO_PER_USD = 1e9;
const CENT_USD = 0.01;

/** Sold is one purchase in the ledger, with its price in nano-dollars. */
type Sold = Record<UsageDimension, string> & { nano: number };

/** usageAgreesWithLedger compares `GET /usage` with the upstream's ledger for every tenant, model and day. */
export async function usageAgreesWithLedger(
  { client }: Fleet,
  sales: readonly Sold[],
  signal: AbortSignal,
): Promise<Requirement[]> {
  const whole = await client.usage({}, { signal });
  const requirements = [
    compared('GET /usage, by day, model and tenant', USAGE_DIMENSIONS, whole.rows, sales),
  ];
  for (const by of USAGE_DIMENSIONS) {
    const { rows } = await client.usage({ by }, { signal });
    requirements.push(compared(`GET /usage?by=${by}`, [by], rows, sales));
  }
  return requirements;
}

function compared(
  what: string,
  dimensions: readonly UsageDimension[],
  rows: readonly UsageRow[],
  sales: readonly Sold[],
): Requirement {
  const sums = new Map<string, { usd: number; requests: number }>();
  for (const sale of sales) {
    const name = dimensions.map((dimension) => sale[dimension]).join(' ');
    const { usd = 0, requests = 0 } = sums.get(name) ?? {};
    sums.set(name, { usd: usd + sale.nano / NANO_PER_USD, requests: requests + 1 });
  }
  const reported = new Map(rows.map((row) => [dimensions.map((dimension) => row[dimension]).join(' '), row]));
  const names = [...new Set([...sums.keys(), ...reported.keys()])];
  const wrong = names.filter((name) => {
    const [sum, row] = [sums.get(name), reported.get(name)];
    return sum?.requests !== row?.requests || !(differenceOf(sum?.usd, row?.cost_usd) < CENT_USD / 2);
  });
  const worst = Math.max(
    0,
    ...names.map((name) => differenceOf(sums.get(name)?.usd, reported.get(name)?.cost_usd)),
  );
  const examples = wrong.slice(0, 3).map((name) => {
    const [sum, row] = [sums.get(name), reported.get(name)];
    return `${name}: sold ${sum?.requests} for ${sum?.usd}, reported ${row?.requests} for ${row?.cost_usd}`;
  });
  return {
    what: `${what}, compared with the upstream's ledger`,
    required: 'equal to the cent, no row missing',
    measured:
      wrong.length === 0
        ? `${names.length} rows agree; largest difference $${worst.toFixed(9)}`
        : `${wrong.length} of ${names.length} rows differ: ${examples.join('; ')}`,
    met: wrong.length === 0 && names.length > 0,
  };
}

/** Returns the difference between the two costs; NaN if one of them is unknown. */
function differenceOf(sold: number | undefined, reported: number | null | undefined): number {
  return Math.abs((sold ?? Number.NaN) - (reported ?? Number.NaN));
}
