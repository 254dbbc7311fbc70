import { sleep } from '../../src/async/sleep.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { JobView } from '../../src/job/view.ts';
import { createPriceList } from '../../src/usage/price.ts';
import { usdFrom } from '../../src/usage/usd.ts';
import { utcDay } from '../../src/usage/utc-day.ts';
import { jobNameIn, type LedgerEntry, readLedger } from '../evidence/ledger.ts';
import { exactly, figure, percent } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Random } from '../fleet/random.ts';
import { becomes } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { randomTokens, requestOfSize } from './job-sizes.ts';
import { usageAgreesWithLedger } from './usage-check.ts';

const BUDGET_USD = 1;
const NANO_PER_USD = 1e9;
const LIMITED = { tenant: 'ann', jobs: 300 };
const FREE = { tenant: 'ben', jobs: 80 };
const MODELS = ['o3', 'gpt-5'];
/** The sizes of the jobs, in tokens. 1,500 tokens cost about a cent. */
const SIZES = { median: 1300, least: 300, most: 6000 };
const STARTS_PER_SECOND = 10;
const THINK_MS = { least: 1000, most: 4000 };
/**
 * How long a create that was sent before the budget ran out may take to reach the upstream, in milliseconds.
 */
const ON_ITS_WAY_MS = 1000;
/**
 * For how long no response may run and none may be bought before the scenario ends, in milliseconds: twice as
 * long as a dispatcher ignores a tenant whose budget is exhausted.
 */
const QUIET_MS = 12_000;
const LEAST_USED = 0.8;
const MIDNIGHT_MS = 10 * 60_000;
const LIMIT_MS = 240_000;
const PAGE = 100;

const MODEL_LIMITS = { requestsPerMinute: STARTS_PER_SECOND * 60 };

/** runBudget gives a tenant a dollar a day and three times as many jobs as that pays for. */
export const runBudget = scenario(
  {
    workers: 2,
    tenants: [LIMITED.tenant, FREE.tenant],
    config: {
      models: Object.fromEntries(MODELS.map((name) => [name, MODEL_LIMITS])),
      tenants: { [LIMITED.tenant]: { dailyBudgetUsd: BUDGET_USD } },
    },
  },
  budget,
);

async function budget({ fleet, random, signal, progress, say }: World): Promise<Findings> {
  if (untilMidnightMs() < MIDNIGHT_MS) {
    say('Waiting for midnight (UTC), when a new daily budget begins');
    await sleep(untilMidnightMs() + 1000, signal);
  }
  for (const { tenant, jobs } of [LIMITED, FREE]) {
    const requests = Array.from({ length: jobs }, (_, index) => requestFor(random, tenant, index));
    for (const outcome of await fleet.clientOf(tenant).enqueueBulk(requests, { signal }))
      if (!outcome.ok) throw outcome.error;
  }
  const views = await viewsWhenQuiet(fleet, progress, signal);

  const { responses } = await readLedger(fleet.upstreamUrl);
  const prices = createPriceList({ prices: {} });
  const sales = responses.map((entry) => saleOf(entry, prices, views));
  const limited = sales.filter(({ tenant }) => tenant === LIMITED.tenant);
  const spent = sum(limited.map(({ nano }) => nano));
  const late = limited.filter(
    ({ at }) =>
      sum(limited.filter(({ endedAt }) => endedAt < at - ON_ITS_WAY_MS).map(({ nano }) => nano)) >=
      BUDGET_USD * NANO_PER_USD,
  );
  const crossedAt = momentOf(limited);
  const running = limited.filter(({ at, endedAt }) => at <= crossedAt && endedAt >= crossedAt);
  const over = Math.max(0, spent - BUDGET_USD * NANO_PER_USD);
  const mayBeOver = sum(running.map(({ nano }) => nano));
  const waiting = [...views.values()].filter(({ status }) => status === 'waiting');
  const failed = [...views.values()].filter(({ status }) => status === 'failed').length;
  const saying = waiting.filter((view) => view.status === 'waiting' && view.waiting_for.includes('budget'));
  return {
    requirements: [
      figure(
        `jobs of ${LIMITED.tenant}, with a budget of $${BUDGET_USD} a day: bought, waiting`,
        `${limited.length}, ${waiting.length}`,
      ),
      {
        what: 'overspent by',
        required: `≤ ${usdText(mayBeOver)}, the cost of the ${running.length} jobs that ran when the budget was exceeded`,
        measured: `${usdText(over)} (spent ${usdText(spent)})`,
        met: over <= mayBeOver,
      },
      exactly('creates after the budget was exhausted', 0, late.length),
      {
        what: 'share of the budget used',
        required: `≥ ${percent(LEAST_USED)}`,
        measured: percent(spent / BUDGET_USD / NANO_PER_USD),
        met: spent >= LEAST_USED * BUDGET_USD * NANO_PER_USD,
      },
      {
        what: 'waiting jobs that name the budget as the reason',
        required: 'all, and ≥ 1',
        measured: `${saying.length} of ${waiting.length}`,
        met: waiting.length > 0 && saying.length === waiting.length,
      },
      exactly('jobs that failed', 0, failed),
      ...(await usageAgreesWithLedger(fleet, sales, signal)),
    ],
  };
}

/**
 * One job in five is for another model. Some jobs have a part of their input from the cache. Some jobs of the
 * tenant without a budget are served in another tier, or end early.
 */
function requestFor(random: Random, tenant: string, index: number): JobRequest {
  const name = `${tenant}-${String(index).padStart(4, '0')}`;
  const tokens = randomTokens(random, SIZES);
  const isFree = tenant === FREE.tenant;
  return {
    ...requestOfSize(name, tokens, {
      sim_think_ms: String(random.between(THINK_MS.least, THINK_MS.most)),
      sim_cached_tokens: String(Math.floor((tokens / 5) * random.pick([0, 0.5]))),
      ...(isFree && random.chance(0.2) && { sim_tier: random.pick(['flex', 'priority']) }),
      ...(isFree && random.chance(0.1) && { sim: 'incomplete' }),
    }),
    model: random.chance(0.8) ? 'o3' : 'gpt-5',
  };
}

/** Sale is one response as the upstream has sold it. */
export interface Sale {
  tenant: string;
  model: string;
  /** The day on which the response ended, in UTC. */
  day: string;
  /** When the response was bought, in Unix milliseconds. */
  at: number;
  /** When the response ended, in Unix milliseconds; infinite: it still runs. */
  endedAt: number;
  /** The cost of the response in nano-dollars. */
  nano: number;
}

function saleOf(
  entry: LedgerEntry,
  prices: ReturnType<typeof createPriceList>,
  views: ReadonlyMap<string, JobView>,
): Sale {
  const name = jobNameIn(entry.question);
  const view = views.get(name);
  const endedAt =
    view !== undefined && isFinishedJob(view) ? Date.parse(view.finished_at) : Number.POSITIVE_INFINITY;
  const { usage } = entry;
  const cost = prices.costOf({
    upstreamModel: entry.snapshot,
    serviceTier: entry.service_tier,
    usage: usage && {
      input_tokens: usage.input_tokens,
      cached_tokens: usage.input_tokens_details.cached_tokens,
      cache_write_tokens: usage.input_tokens_details.cache_write_tokens,
      output_tokens: usage.output_tokens,
      reasoning_tokens: usage.output_tokens_details.reasoning_tokens,
      total_tokens: usage.total_tokens,
    },
  });
  if (cost === null) throw new Error(`expected a price and usage of ${name}, got ${JSON.stringify(entry)}`);
  const day = utcDay(Number.isFinite(endedAt) ? endedAt : Date.now());
  return {
    tenant: name.split('-')[0] ?? '',
    model: entry.model,
    day,
    at: entry.created_at,
    endedAt,
    nano: cost.nano,
  };
}

/** Returns when the cost of the ended responses reached the budget. Infinity: never. */
function momentOf(sales: readonly Sale[]): number {
  let spent = 0;
  for (const { endedAt, nano } of sales.toSorted((left, right) => left.endedAt - right.endedAt)) {
    spent += nano;
    if (spent >= BUDGET_USD * NANO_PER_USD) return endedAt;
  }
  return Number.POSITIVE_INFINITY;
}

/**
 * Waits until no response has run or been bought for a while. @returns the jobs by name. @throws when that
 * takes longer than the limit.
 */
async function viewsWhenQuiet(
  { client, upstreamUrl }: Fleet,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<Map<string, JobView>> {
  const views = new Map<string, JobView>();
  let purchases = -1;
  let changedAt = Date.now();
  const isQuiet = async (): Promise<boolean> => {
    for await (const view of client.jobs({ limit: PAGE }, { signal }))
      views.set(jobNameIn(view.question), view);
    const { totals } = await readLedger(upstreamUrl);
    const all = [...views.values()];
    const isRunning = all.some(({ status }) => status === 'active');
    if (totals.purchases !== purchases || isRunning) changedAt = Date.now();
    ({ purchases } = totals);
    progress(`${purchases} bought, ${all.filter(isFinishedJob).length} of ${all.length} have ended`);
    return Date.now() - changedAt >= QUIET_MS;
  };
  if (await becomes(isQuiet, LIMIT_MS, signal, 1000)) return views;
  throw new Error(`expected ${QUIET_MS / 1000} s without a purchase, saw none in ${LIMIT_MS / 1000} s`);
}

function untilMidnightMs(): number {
  return new Date().setUTCHours(24, 0, 0, 0) - Date.now();
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function usdText(nano: number): string {
  return `$${usdFrom(nano)}`;
}
