import { sleep } from '../../src/async/sleep.ts';
import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { figure, percent } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import { becomes, percentile } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { loadOfViews } from './view-load.ts';

const WORKERS = 2;
const STARTS_PER_SECOND = 5;
const THINK_MS = { least: 2000, most: 6000 };
/** How many jobs run first, so that the ETA can use their durations. */
const WARM_UP_JOBS = 40;
const JOBS = 500;
const ASK_AFTER_MS = 4000;
const ASKED_AT_RANDOM = 5;
/** The shortest remaining time for which a relative error means anything, in milliseconds. */
const LEAST_REMAINING_MS = 3000;
const MOST_MEDIAN_ERROR = 0.25;
const PAGE = 100;
const LIMIT_MS = 240_000;
/** How many jobs wait while their views are requested. */
const LOOKED_AT = 500;

/**
 * runEta compares the `eta_ms` of jobs with the time when they ended, and measures what it costs to ask for
 * it.
 */
export const runEta = scenario(
  {
    workers: WORKERS,
    config: {
      models: { o3: { requestsPerMinute: STARTS_PER_SECOND * 60 } },
      // By default an API key may make a thousand requests a second; this scenario makes more.
      http: { requestsPerMinute: 1_000_000 },
    },
  },
  eta,
);

/** Promised is what one view promised. */
interface Promised {
  id: string;
  askedAt: number;
  /** null: the view had no ETA. */
  etaMs: number | null;
}

async function eta({ fleet, random, signal, progress }: World): Promise<Findings> {
  const enqueue = async (count: number): Promise<string[]> => {
    const outcomes = await fleet.client.enqueueBulk(requests(random, count), { signal });
    return outcomes.map((outcome) => {
      if (!outcome.ok) throw outcome.error;
      return outcome.job.id;
    });
  };
  progress('warming up');
  const warm = await enqueue(WARM_UP_JOBS);
  await allFinished(fleet, new Set(warm), signal);

  const ids = new Set(await enqueue(JOBS));
  const enqueuedAt = Date.now();
  const lastMs = (JOBS * 1000) / STARTS_PER_SECOND;
  const times = Array.from({ length: ASKED_AT_RANDOM }, () => random.between(2 * ASK_AFTER_MS, lastMs * 0.8));
  const promised: Promised[] = [];
  for (const atMs of [ASK_AFTER_MS, ...times.toSorted((left, right) => left - right)]) {
    await sleep(enqueuedAt + atMs - Date.now(), signal);
    promised.push(...(await ask(fleet, ids, signal)));
    progress(`${promised.length} ETAs read`);
  }
  const views = await allFinished(fleet, ids, signal);
  const finishedAt = new Map(
    views.flatMap((view) => (isFinishedJob(view) ? [[view.id, Date.parse(view.finished_at)] as const] : [])),
  );
  const all = errorsOf(promised, finishedAt);
  const early = errorsOf(promised.slice(0, JOBS), finishedAt);
  const unsaid = promised.filter(({ etaMs }) => etaMs === null).length;

  const load = await loadOfViews(fleet, await enqueue(LOOKED_AT), signal, progress);
  return {
    requirements: [
      figure('jobs, and starts per second', `${finishedAt.size}, ${STARTS_PER_SECOND}`),
      {
        what: 'median error of all ETAs, as a share of the remaining time',
        required: `< ${percent(MOST_MEDIAN_ERROR)}`,
        measured: `${percent(percentile(all, 0.5))} of ${all.length} (p90 ${percent(percentile(all, 0.9))})`,
        met: percentile(all, 0.5) < MOST_MEDIAN_ERROR && finishedAt.size === JOBS,
      },
      {
        what: `the same, asked ${ASK_AFTER_MS / 1000} s after enqueueing`,
        required: `< ${percent(MOST_MEDIAN_ERROR)}`,
        measured: `${percent(percentile(early, 0.5))} of ${early.length}`,
        met: percentile(early, 0.5) < MOST_MEDIAN_ERROR,
      },
      {
        what: 'waiting jobs without an ETA',
        required: 'at most 1 of 100',
        measured: `${unsaid} of ${promised.length}`,
        met: unsaid * 100 <= promised.length,
      },
      ...load,
    ],
  };
}

function requests(random: Random, count: number) {
  return Array.from({ length: count }, (_, index) => ({
    question: `${jobName(index)} wonders when`,
    metadata: { sim_think_ms: String(random.between(THINK_MS.least, THINK_MS.most)), sim_deltas: '2' },
  }));
}

/** Reads the ETAs of the waiting jobs. */
async function ask(fleet: Fleet, ids: ReadonlySet<string>, signal: AbortSignal): Promise<Promised[]> {
  const promised: Promised[] = [];
  for await (const view of fleet.client.jobs({ status: 'waiting', limit: PAGE }, { signal })) {
    if (view.status !== 'waiting' || !ids.has(view.id)) continue;
    promised.push({ id: view.id, askedAt: Date.now(), etaMs: view.eta_ms });
  }
  return promised;
}

function errorsOf(promised: readonly Promised[], finishedAt: ReadonlyMap<string, number>): number[] {
  return promised.flatMap(({ id, askedAt, etaMs }) => {
    const leftMs = (finishedAt.get(id) ?? Number.NaN) - askedAt;
    if (etaMs === null || Number.isNaN(leftMs) || leftMs < LEAST_REMAINING_MS) return [];
    return [Math.abs(etaMs - leftMs) / leftMs];
  });
}

/** @throws an Error if some jobs have not ended in time. */
async function allFinished(
  { client }: Fleet,
  ids: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<JobView[]> {
  let views: JobView[] = [];
  const areFinished = async (): Promise<boolean> => {
    views = [];
    for await (const view of client.jobs({}, { signal })) if (ids.has(view.id)) views.push(view);
    return views.filter(isFinishedJob).length === ids.size;
  };
  if (await becomes(areFinished, LIMIT_MS, signal, 1000)) return views;
  throw new Error(
    `expected ${ids.size} jobs to end within ${LIMIT_MS / 1000} s, saw ${views.filter(isFinishedJob).length}`,
  );
}
