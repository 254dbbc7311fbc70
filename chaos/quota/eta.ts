import { isFinishedJob } from '../../src/job/job.ts';
import type { JobView } from '../../src/job/view.ts';
import { figure, percent } from '../evidence/figure.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { jobName } from '../fleet/job-plan.ts';
import { createRandom, type Random } from '../fleet/random.ts';
import { becomes, pause, percentile } from '../fleet/timing.ts';
import { isClean, type Report, type Stage } from '../scenario.ts';
import { loadOfViews } from './view-load.ts';

const WORKERS = 2;
const STARTS_PER_SECOND = 5;
const THINK_MS = { least: 2000, most: 6000 };
/** So that durations are known before anybody asks. */
const WARM_UP_JOBS = 40;
const JOBS = 500;
const ASK_AFTER_MS = 4000;
const ASKED_AT_RANDOM = 5;
/** No answer is due in so short a time that its share of it means anything. */
const LEAST_REMAINING_MS = 3000;
const MOST_MEDIAN_ERROR = 0.25;
const PAGE = 100;
const LIMIT_MS = 240_000;
/** Those that wait while their views are asked for. */
const LOOKED_AT = 500;

/** What a job's view says of when its answer comes, against when it came; and what it costs to ask. */
export function runEta(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    {
      workers: WORKERS,
      webhooks: false,
      proxies: false,
      config: {
        models: { o3: { requestsPerMinute: STARTS_PER_SECOND * 60 } },
        // A thousand a second are as many as a key may make by default, and this one makes more.
        http: { requestsPerMinute: 1_000_000 },
      },
    },
    (fleet) => eta(stage, fleet),
    isClean,
  );
}

/** What one view promised. */
interface Promised {
  id: string;
  askedAt: number;
  /** null: the view did not say. */
  etaMs: number | null;
}

async function eta({ seed, signal, progress }: Stage, fleet: Fleet): Promise<Report> {
  const random = createRandom(seed);
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
    await pause(enqueuedAt + atMs - Date.now(), signal);
    promised.push(...(await ask(fleet, ids, signal)));
    progress(`${promised.length} answers to how long it takes`);
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
      figure('jobs, and starts a second', `${finishedAt.size}, ${STARTS_PER_SECOND}`),
      {
        what: 'median error of all ETAs, as a share of what was left',
        required: `< ${percent(MOST_MEDIAN_ERROR)}`,
        measured: `${percent(percentile(all, 0.5))} of ${all.length} (p90 ${percent(percentile(all, 0.9))})`,
        met: percentile(all, 0.5) < MOST_MEDIAN_ERROR && finishedAt.size === JOBS,
      },
      {
        what: `the same, asked ${ASK_AFTER_MS / 1000} s after they were enqueued`,
        required: `< ${percent(MOST_MEDIAN_ERROR)}`,
        measured: `${percent(percentile(early, 0.5))} of ${early.length}`,
        met: percentile(early, 0.5) < MOST_MEDIAN_ERROR,
      },
      {
        what: 'waiting jobs that did not say when',
        required: 'at most 1 of 100',
        measured: `${unsaid} of ${promised.length}`,
        met: unsaid * 100 <= promised.length,
      },
      ...load,
    ],
    offences: [],
    logs: fleet.folder,
  };
}

function requests(random: Random, count: number) {
  return Array.from({ length: count }, (_, index) => ({
    question: `${jobName(index)} wonders when`,
    metadata: { sim_think_ms: String(random.between(THINK_MS.least, THINK_MS.most)), sim_deltas: '2' },
  }));
}

/** Of those that wait. */
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

/** @throws when some have not ended in time. */
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
