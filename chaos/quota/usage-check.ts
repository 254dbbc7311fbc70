import { USAGE_DIMENSIONS, type UsageDimension, type UsageRow } from '../../src/usage/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Requirement } from '../scenario.ts';

const NANO_PER_USD = 1e9;
const CENT_USD = 0.01;

/** What was sold, in nano-dollars. */
type Sold = Record<UsageDimension, string> & { nano: number };

/** Whether `GET /usage` says of every tenant, model and day what the upstream has in its books. */
export async function booksAgree(
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
  const books = new Map<string, { usd: number; requests: number }>();
  for (const sale of sales) {
    const name = dimensions.map((dimension) => sale[dimension]).join(' ');
    const { usd = 0, requests = 0 } = books.get(name) ?? {};
    books.set(name, { usd: usd + sale.nano / NANO_PER_USD, requests: requests + 1 });
  }
  const told = new Map(rows.map((row) => [dimensions.map((dimension) => row[dimension]).join(' '), row]));
  const names = [...new Set([...books.keys(), ...told.keys()])];
  const wrong = names.filter((name) => {
    const [book, row] = [books.get(name), told.get(name)];
    return book?.requests !== row?.requests || !(differenceOf(book?.usd, row?.cost_usd) < CENT_USD / 2);
  });
  const worst = Math.max(
    0,
    ...names.map((name) => differenceOf(books.get(name)?.usd, told.get(name)?.cost_usd)),
  );
  const examples = wrong.slice(0, 3).map((name) => {
    const [book, row] = [books.get(name), told.get(name)];
    return `${name}: sold ${book?.requests} for ${book?.usd}, told ${row?.requests} for ${row?.cost_usd}`;
  });
  return {
    what: `${what}, against the upstream's books`,
    required: 'to the cent, none missing',
    measured:
      wrong.length === 0
        ? `${names.length} rows agree; most off by $${worst.toFixed(9)}`
        : `${wrong.length} of ${names.length} rows differ: ${examples.join('; ')}`,
    met: wrong.length === 0 && names.length > 0,
  };
}

/** NaN where one of them is not known. */
function differenceOf(sold: number | undefined, told: number | null | undefined): number {
  return Math.abs((sold ?? Number.NaN) - (told ?? Number.NaN));
}
