import { resolve } from 'node:path';
import { isFinishedJob } from '../../src/job/job.ts';
import { killRepeatedly } from '../crashes/killing.ts';
import type { Departure } from '../crashes/takeovers.ts';
import { findViolations, uncertainPurchases } from '../evidence/checks.ts';
import type { JobEvidence } from '../evidence/evidence.ts';
import type { LedgerEntry } from '../evidence/ledger.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Report, type Requirement, type Violation } from '../evidence/report.ts';
import type { Stage } from '../fleet/stage.ts';
import { onTime, percentile } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';
import { billRequirements } from './bill.ts';
import { planWindowedJobs, type WindowsSize } from './plan.ts';

/** FULL_WINDOWS is sixteen hours in eight minutes. */
const FULL_WINDOWS: WindowsSize = {
  jobs: 500,
  scale: 120,
  enqueuedOverHours: 4,
  neededAfterHours: { least: 0.5, most: 12 },
};

const MODEL = 'gpt-6.2-sol';
const WORKERS = 4;
const KILL_EVERY_MS = 10_000;
const THINK_MS = 500;
const HOUR_MS = 3_600_000;
/** How much longer than the last window the run may take, in milliseconds. */
const LIMIT_MS = 120_000;
const WORKER = '.cache/chaos/chaos/windows/scaled-worker.js';

/** runWindows buys answers by when they are needed, on a clock that runs faster. */
export function runWindows(stage: Stage, size: WindowsSize = FULL_WINDOWS): Promise<Report> {
  return scenario(
    {
      workers: WORKERS,
      webhooks: true,
      config: { models: { [MODEL]: {} } },
      workerScript: [resolve(WORKER), String(size.scale)],
      simulator: ['--think-ms', String(THINK_MS), '--window-scale', String(size.scale)],
    },
    (world) => windows(world, size),
  )(stage);
}

async function windows(world: World, size: WindowsSize): Promise<Findings> {
  const { fleet, history, callers, random, signal, progress } = world;
  const jobs = planWindowedJobs(random, size, { model: MODEL, startAt: Date.now() });
  const realMs = (hours: number): number => (hours * HOUR_MS) / size.scale;
  const limitMs = realMs(size.enqueuedOverHours + size.neededAfterHours.most) + LIMIT_MS;
  const departures: Departure[] = [];
  const over = new AbortController();
  const asking = onTime(jobs, callers.ask, signal);
  const killing = killRepeatedly(
    { fleet, random, workers: WORKERS, everyMs: KILL_EVERY_MS, over: over.signal, signal },
    departures,
  );
  killing.catch(() => {});
  const watching = setInterval(() => {
    progress(
      `${history.finished} of ${jobs.length} jobs have ended, ${departures.length} workers were killed`,
    );
  }, 1000);
  try {
    // The first failure ends the scenario, and with it the fleet.
    await Promise.race([killing, asking.then(() => callers.allFinished(limitMs))]);
  } finally {
    over.abort();
    clearInterval(watching);
  }
  await killing;
  const evidence = await world.evidence();
  const neededBy = new Map(jobs.map((job) => [job.name, job.neededBy]));
  const late = latenessOf(evidence.jobs, neededBy);
  const lateBecause = (excuse: Lateness['excuse']) => late.filter((job) => job.excuse === excuse);
  const completed = evidence.jobs.filter(({ last }) => last?.status === 'completed').length;
  const bought = evidence.jobs.flatMap((job) => job.bought);
  return {
    requirements: [
      figure('workers killed', departures.length),
      figure('the clock of the windows', `${size.scale} times as fast`),
      exactly('jobs completed', size.jobs, completed),
      purchaseRequirement(evidence, size.jobs),
      uncertainRequirement(evidence),
      boughtIn(bought),
      exactly('jobs whose view names another window than the ledger', 0, misnamed(evidence.jobs).length),
      exactly('answers that were late without an excuse', 0, lateBecause(undefined).length),
      figure('answers that were late because the upstream missed its window', lateBecause('missed').length),
      figure('answers that were late because their purchase was uncertain', lateBecause('uncertain').length),
      figure('lookups for each answer in a window, median', lookupsIn(bought)),
      ...(await billRequirements(fleet, evidence.jobs, signal)),
    ],
    violations: [...findViolations(evidence), ...lateBecause(undefined).map(violationOf)],
  };
}

/** Lateness is an answer that came after it was needed. Times are Unix milliseconds. */
interface Lateness {
  job: JobEvidence;
  neededBy: number;
  finishedAt: number;
  /**
   * `missed`: the upstream answered after the end of the window that was bought. `uncertain`: a worker was
   * killed while it sent the create. The next worker waits a minute for a webhook of that response before it
   * buys another, and begins anew if it is killed too. That minute is not scaled: it is two hours of the
   * windows' clock.
   */
  excuse: 'missed' | 'uncertain' | undefined;
}

function latenessOf(jobs: readonly JobEvidence[], neededBy: ReadonlyMap<string, number>): Lateness[] {
  return jobs.flatMap((job) => {
    const by = neededBy.get(job.history.name) ?? Number.NEGATIVE_INFINITY;
    const finishedAt =
      job.last !== undefined && isFinishedJob(job.last)
        ? Date.parse(job.last.finished_at)
        : Number.POSITIVE_INFINITY;
    if (finishedAt <= by) return [];
    return [{ job, neededBy: by, finishedAt, excuse: excuseOf(job) }];
  });
}

function excuseOf(job: JobEvidence): Lateness['excuse'] {
  if (job.bought.some(missedItsWindow)) return 'missed';
  return uncertainPurchases(job.last) > 0 ? 'uncertain' : undefined;
}

function missedItsWindow({ ended_at: endedAt, window_ends_at: endsAt }: LedgerEntry): boolean {
  return endsAt !== null && (endedAt ?? Number.POSITIVE_INFINITY) > endsAt;
}

function violationOf({ job, neededBy, finishedAt }: Lateness): Violation {
  const bought = job.bought.map(
    (entry) => `${entry.completion_window} at ${entry.created_at}, ended at ${entry.ended_at}`,
  );
  return {
    rule: 'an answer comes by the time at which it is needed, unless it has an excuse',
    about: `${job.history.name} (${job.history.id ?? 'no id'})`,
    expected: `an answer by ${neededBy}`,
    seen: `one at ${finishedAt}; bought: ${bought.join('; ')}`,
  };
}

/** Every window must have been bought; otherwise the run shows little. */
function boughtIn(bought: readonly LedgerEntry[]): Requirement {
  const counts = ['soonest', '2h', '8h'].map(
    (window) => [window, bought.filter((entry) => entry.completion_window === window).length] as const,
  );
  return {
    what: 'responses bought in each window',
    required: 'some in each',
    measured: counts.map(([window, count]) => `${window}: ${count}`).join(', '),
    met: counts.every(([, count]) => count > 0),
  };
}

/** A job that was bought more than once names the window of its last purchase. */
function misnamed(jobs: readonly JobEvidence[]): JobEvidence[] {
  return jobs.filter(
    (job) =>
      uncertainPurchases(job.last) === 0 &&
      job.last?.completion_window !== job.bought.at(-1)?.completion_window,
  );
}

function lookupsIn(bought: readonly LedgerEntry[]): number {
  const windowed = bought.filter(({ window_ends_at: endsAt }) => endsAt !== null);
  return percentile(
    windowed.map(({ polls }) => polls),
    0.5,
  );
}
