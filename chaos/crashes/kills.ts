import { findViolations } from '../evidence/checks.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { exactly, figure, type Requirement, seconds, type Violation } from '../evidence/report.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { inParallel, percentile } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';
import { killRepeatedly } from './killing.ts';
import { type Departure, endsOf, type Takeover, takeoversAfter } from './takeovers.ts';

const JOBS = 500;
const WORKERS = 4;
const THINK_MS = { least: 2000, most: 10_000 };
const KILL_EVERY_MS = 2000;
const MEDIAN_LIMIT_MS = 2000;
const MOST_LIMIT_MS = 3000;
/**
 * A job that waits for its lock is taken over this late. A worker is also killed in the middle of a create,
 * or before its first heartbeat.
 */
const TAKEOVER_LIMIT_MS = 20_000;
const CALLERS = 20;
const LIMIT_MS = 240_000;

/** runKills kills and replaces a random worker every two seconds until every job has ended. */
export const runKills = scenario({ workers: WORKERS, proxies: true }, async (world) => {
  const { fleet, history, callers, random, signal, progress } = world;
  const jobs = planCalmJobs(random, JOBS, THINK_MS);
  const departures: Departure[] = [];
  const over = new AbortController();
  const asking = inParallel(jobs, CALLERS, callers.ask);
  const killing = killRepeatedly(
    { fleet, random, workers: WORKERS, everyMs: KILL_EVERY_MS, over: over.signal, signal },
    departures,
  );
  killing.catch(() => {});
  const watching = reportProgress(() => {
    progress(`${history.finished} of ${JOBS} jobs have ended, ${departures.length} workers were killed`);
  });
  try {
    // The first failure ends the scenario, and with it the fleet.
    await Promise.race([killing, asking.then(() => callers.allFinished(LIMIT_MS))]);
  } finally {
    over.abort();
    watching.stop();
  }
  await killing;
  const evidence = await world.evidence();
  const takeovers = takeoversAfter(departures, fleet.wiretap.pickups, endsOf(evidence));
  const statuses = evidence.jobs.map(({ last }) => last?.status);
  const completed = statuses.filter((status) => status === 'completed').length;
  const failed = statuses.filter((status) => status === 'failed').length;
  const times = takeovers.map(({ afterMs = Number.POSITIVE_INFINITY }) => afterMs);
  const longest = Math.max(0, ...times);
  const within = (what: string, share: number, limitMs: number): Requirement => {
    const ms = percentile(times, share);
    return { what, required: `≤ ${seconds(limitMs)}`, measured: seconds(ms), met: !(ms > limitMs) };
  };
  const violations = [...findViolations(evidence), ...lateTakeovers(takeovers)];
  return {
    requirements: [
      { what: 'workers killed', required: 'one every 2 s', measured: `${departures.length}`, met: undefined },
      exactly('jobs completed', JOBS, completed),
      exactly('jobs failed', 0, failed),
      purchaseRequirement(evidence, JOBS),
      uncertainRequirement(evidence),
      figure('jobs taken over', `${times.length}`),
      within('from a kill until another worker has the job, median', 0.5, MEDIAN_LIMIT_MS),
      within('the same, of 95 % of these jobs', 0.95, MOST_LIMIT_MS),
      {
        what: 'the same, the longest',
        required: `≤ ${seconds(TAKEOVER_LIMIT_MS)}`,
        measured: seconds(longest),
        met: longest <= TAKEOVER_LIMIT_MS,
      },
    ],
    violations,
  };
});

function lateTakeovers(takeovers: readonly Takeover[]): Violation[] {
  return takeovers
    .filter(({ afterMs }) => afterMs === undefined || afterMs > TAKEOVER_LIMIT_MS)
    .map(({ jobId, from, afterMs }) => ({
      rule: 'a job is taken over soon',
      about: jobId,
      expected: `another worker within ${seconds(TAKEOVER_LIMIT_MS)} of the end of ${from}`,
      seen: afterMs === undefined ? 'none' : seconds(afterMs),
    }));
}

function reportProgress(show: () => void): { stop(): void } {
  const timer = setInterval(show, 1000);
  return { stop: () => clearInterval(timer) };
}
