import { findViolations } from '../evidence/checks.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { exactly } from '../evidence/report.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { becomes, inParallel, percentile } from '../fleet/timing.ts';
import { scenario } from '../scenario.ts';
import { endsOf, takeoversAfter } from './takeovers.ts';

const JOBS = 1000;
/** The think time, in milliseconds. It is longer than it takes until all jobs are in flight. */
const THINK_MS = { least: 40_000, most: 45_000 };
const CALLERS = 20;
const IN_FLIGHT_LIMIT_MS = 35_000;
const EXIT_LIMIT_MS = 3000;
const ADOPTION_LIMIT_MS = 2000;
const LIMIT_MS = 120_000;

/** runDeploy sends SIGTERM to a worker that holds a thousand jobs, while another worker is idle. */
export const runDeploy = scenario({ workers: 1, proxies: true }, async (world) => {
  const { fleet, callers, random, signal, progress } = world;
  progress(`enqueueing ${JOBS} jobs`);
  await inParallel(planCalmJobs(random, JOBS, THINK_MS), CALLERS, callers.ask);
  let running = 0;
  const allRun = async (): Promise<boolean> => {
    ({ running } = (await readLedger(fleet.upstreamUrl)).totals);
    progress(`${running} of ${JOBS} jobs are in flight`);
    return running === JOBS;
  };
  await becomes(allRun, IN_FLIGHT_LIMIT_MS, signal, 500);
  const [leaving] = fleet.workers;
  if (leaving === undefined) throw new Error('expected a worker, got none');
  await fleet.addWorker();

  progress('SIGTERM');
  const at = Date.now();
  const { code, afterMs } = await fleet.stopWorker(leaving);
  progress('waiting for the answers');
  await callers.allFinished(LIMIT_MS);
  const evidence = await world.evidence();
  const departure = { worker: leaving.child.name, at };
  const takeovers = takeoversAfter([departure], fleet.wiretap.pickups, endsOf(evidence));
  const times = takeovers.map((takeover) => takeover.afterMs ?? Number.POSITIVE_INFINITY);
  const adoptedInTime = times.filter((ms) => ms <= ADOPTION_LIMIT_MS).length;
  const completed = evidence.jobs.filter(({ last }) => last?.status === 'completed').length;
  const firstAttempts = evidence.jobs.filter(({ last }) => last?.attempt === 1).length;
  return {
    requirements: [
      exactly('jobs in flight at SIGTERM', JOBS, running),
      exactly('exit code', 0, code),
      {
        what: 'from SIGTERM to the exit',
        required: `< ${EXIT_LIMIT_MS} ms`,
        measured: `${afterMs} ms`,
        met: afterMs < EXIT_LIMIT_MS,
      },
      {
        what: `adopted within ${ADOPTION_LIMIT_MS} ms of SIGTERM`,
        required: `${JOBS}`,
        measured: `${adoptedInTime} (median ${percentile(times, 0.5)} ms, last ${Math.max(...times)} ms)`,
        met: adoptedInTime === JOBS,
      },
      exactly('jobs completed', JOBS, completed),
      purchaseRequirement(evidence, JOBS),
      uncertainRequirement(evidence),
      exactly('jobs with attempt 1', JOBS, firstAttempts),
    ],
    violations: findViolations(evidence),
  };
});
