import { uncertainPurchases } from '../evidence/checks.ts';
import type { JobEvidence } from '../evidence/evidence.ts';
import { exactly, figure, percent, type Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';

const HALF_A_CENT = 0.005;
/** Sums of dollars are exact to a nano-dollar. */
const HALF_A_NANO_USD = 0.5e-9;

/**
 * billRequirements compares what the queue says that the jobs have cost and saved with the upstream's ledger,
 * which has a price list of its own. A response that the queue may have bought without learning its id is in
 * the ledger only; the jobs of such purchases are left out of the comparison, and counted.
 */
export async function billRequirements(
  { client }: Fleet,
  jobs: readonly JobEvidence[],
  signal: AbortSignal,
): Promise<Requirement[]> {
  const { total } = await client.usage({}, { signal });
  const certain = jobs.filter(({ last }) => uncertainPurchases(last) === 0);
  const sold = (some: readonly JobEvidence[]): number =>
    sum(some.flatMap(({ bought }) => bought.map(costOf)));
  const list = sum(certain.flatMap(({ bought }) => bought.map(({ list_usd: usd }) => usd ?? Number.NaN)));
  const booked = (some: readonly JobEvidence[]): number =>
    sum(some.map(({ last }) => last?.cost_usd ?? Number.NaN));
  const wrong = certain.filter((job) => !(Math.abs(sold([job]) - booked([job])) < HALF_A_NANO_USD));
  const saved = sum(certain.map(savedBy));
  return [
    equalToTheCent("the jobs' cost and the upstream's bill", sold(certain), booked(certain)),
    exactly('jobs whose cost is not what the upstream billed', 0, wrong.length),
    equalToTheCent("GET /usage and the jobs' cost", booked(jobs), total.cost_usd),
    equalToTheCent("the jobs' saving and the upstream's discount", list - sold(certain), saved),
    figure(
      'saved by waiting',
      `${usdText(list - sold(certain))} of ${usdText(list)} (${percent(1 - sold(certain) / list)})`,
    ),
    figure('billed for jobs with uncertain purchases', usdText(sold(jobs) - sold(certain))),
  ];
}

function costOf({ cost_usd: usd }: JobEvidence['bought'][number]): number {
  return usd ?? Number.NaN;
}

function savedBy({ last }: JobEvidence): number {
  return last?.status === 'completed' ? (last.result.saved_usd ?? Number.NaN) : Number.NaN;
}

/** An unknown amount is NaN, and equals nothing. */
function equalToTheCent(what: string, required: number, measured: number | null): Requirement {
  const usd = measured ?? Number.NaN;
  return {
    what,
    required: `${usdText(required)}, to the cent`,
    measured: usdText(usd),
    met: Math.abs(usd - required) < HALF_A_CENT,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function usdText(usd: number): string {
  return `$${usd.toFixed(6)}`;
}
