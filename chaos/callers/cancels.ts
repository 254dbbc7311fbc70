import { findViolations } from '../evidence/checks.ts';
import { jobNameIn, readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement } from '../evidence/purchases.ts';
import { exactly, type Requirement } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { jobName, type PlannedJob, planCalmJobs } from '../fleet/job-plan.ts';
import type { Random } from '../fleet/random.ts';
import { becomes, inParallel, onTime, percentile } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';

const ACTIVE_JOBS = 300;
const ACTIVE_THINK_MS = { least: 120_000, most: 120_000 };
const STOP_LIMIT_MS = 50;
const RANDOM_JOBS = 3000;
/** The think time, in milliseconds. It is so short that some jobs have ended when their cancel comes. */
const RANDOM_THINK_MS = { least: 100, most: 3000 };
const LATEST_CANCEL_MS = 3500;
const JOBS_PER_SECOND = 60;
const CALLERS = 10;
/**
 * How many callers cancel at once. With more, the scenario would measure how long six processes wait for two
 * cores.
 */
const CANCELLERS = 2;
const FIRST_ACTIVE = jobName(RANDOM_JOBS);
const IN_FLIGHT_LIMIT_MS = 60_000;
const LIMIT_MS = 120_000;

/** runCancels measures how soon a cancel stops the spending, and tries cancels at every moment of a job. */
export const runCancels = scenario({ workers: 2 }, async (world) => {
  const { fleet, history, callers, random, signal, progress } = world;

  // These cancels come first and warm the workers up, because milliseconds are measured afterwards.
  progress(`${RANDOM_JOBS} jobs, each cancelled at a random moment`);
  await onTime(jobsToCancel(random), callers.ask, signal);
  await callers.allFinished(LIMIT_MS);

  await inParallel(jobsToStop(random), CALLERS, callers.ask);
  const allRun = async (): Promise<boolean> => {
    let running = 0;
    for await (const job of fleet.client.jobs({ status: 'active' }, { signal })) {
      if (job.status === 'active' && job.upstream_id !== null) running += 1;
    }
    progress(`${running} of ${ACTIVE_JOBS} jobs are in flight`);
    return running === ACTIVE_JOBS;
  };
  const allActive = await becomes(allRun, IN_FLIGHT_LIMIT_MS, signal, 500);
  const answered = new Map<string, number>();
  const active = [...history.jobs.values()].filter(({ name }) => name >= FIRST_ACTIVE);
  await inParallel(active, CANCELLERS, async ({ id, name }) => {
    const at = id === undefined ? undefined : await callers.cancel(id);
    if (at !== undefined) answered.set(name, at);
  });
  await callers.allFinished(LIMIT_MS);
  const delays = await stopDelays(fleet, answered);

  const evidence = await world.evidence();
  const violations = findViolations(evidence);
  const late = evidence.jobs.filter((job) => job.history.name < FIRST_ACTIVE);
  const ended = (status: string): number => late.filter(({ last }) => last?.status === status).length;
  const neverBought = late.filter(({ bought }) => bought.length === 0).length;
  return {
    requirements: [
      {
        what: 'active jobs, all in flight at once',
        required: `${ACTIVE_JOBS}`,
        measured: allActive ? `${ACTIVE_JOBS}` : 'fewer',
        met: allActive,
      },
      stopRequirement(delays),
      {
        what: 'jobs cancelled at random moments',
        required: `${RANDOM_JOBS}`,
        measured: `${late.length}: ${ended('cancelled')} cancelled (${neverBought} never bought), ${ended('completed')} completed, ${ended('failed')} failed`,
        met: late.length === RANDOM_JOBS && ended('failed') === 0,
      },
      {
        ...purchaseRequirement(evidence, ACTIVE_JOBS + RANDOM_JOBS - neverBought),
        what: 'purchases, one for each job that was sent to the upstream',
      },
      exactly('jobs that ended in two statuses, or were bought after the cancel', 0, violations.length),
    ],
    violations,
  };
});

function jobsToCancel(random: Random): PlannedJob[] {
  return planCalmJobs(random, RANDOM_JOBS, RANDOM_THINK_MS).map((job, index) => ({
    ...job,
    atMs: (index * 1000) / JOBS_PER_SECOND,
    cancelAfterMs: random.between(0, LATEST_CANCEL_MS),
  }));
}

function jobsToStop(random: Random): PlannedJob[] {
  return planCalmJobs(random, RANDOM_JOBS + ACTIVE_JOBS, ACTIVE_THINK_MS).slice(RANDOM_JOBS);
}

/**
 * Returns the milliseconds from the answer to each cancel until the cancel at the upstream. Infinity: it
 * never came.
 */
async function stopDelays(fleet: Fleet, answered: ReadonlyMap<string, number>): Promise<number[]> {
  const { responses } = await readLedger(fleet.upstreamUrl);
  const stopped = new Map(responses.map((entry) => [jobNameIn(entry.question), entry.cancelled_at]));
  return [...answered].map(([job, at]) => {
    const stoppedAt = stopped.get(job) ?? Number.POSITIVE_INFINITY;
    // The worker may cancel at the upstream before the caller has the answer.
    return Math.max(0, stoppedAt - at);
  });
}

function stopRequirement(delays: readonly number[]): Requirement {
  const p99 = percentile(delays, 0.99);
  return {
    what: `from a cancel's answer to the upstream's cancel, with ${CANCELLERS} callers: p50, p99, longest`,
    required: `p99 < ${STOP_LIMIT_MS} ms of ${ACTIVE_JOBS}`,
    measured: `${percentile(delays, 0.5)}, ${p99}, ${Math.max(...delays)} ms of ${delays.length}`,
    met: p99 < STOP_LIMIT_MS && delays.length === ACTIVE_JOBS,
  };
}
