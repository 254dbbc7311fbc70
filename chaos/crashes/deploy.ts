import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence } from '../evidence/evidence.ts';
import { createHistory } from '../evidence/history.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { createCallers } from '../fleet/callers.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { becomes, inParallel, percentile } from '../fleet/timing.ts';
import { isClean, type Report, type Stage } from '../scenario.ts';
import { endsOf, takeoversAfter } from './takeovers.ts';

const JOBS = 1000;
/** Longer than it takes to have all of them in flight at once. */
const THINK_MS = { least: 40_000, most: 45_000 };
const CALLERS = 20;
const IN_FLIGHT_LIMIT_MS = 35_000;
const EXIT_LIMIT_MS = 3000;
const ADOPTION_LIMIT_MS = 2000;
const LIMIT_MS = 120_000;

/** SIGTERM to a worker that holds a thousand jobs, while another one has nothing to do. */
export function runDeploy(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    { workers: 1, webhooks: false, proxies: true },
    (fleet) => deploy(stage, fleet),
    isClean,
  );
}

async function deploy({ seed, signal, progress }: Stage, fleet: Fleet): Promise<Report> {
  const history = createHistory();
  const callers = createCallers(fleet, history, signal);
  progress(`enqueueing ${JOBS} jobs`);
  await inParallel(planCalmJobs(createRandom(seed), JOBS, THINK_MS), CALLERS, callers.ask);
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
  const evidence = await gatherEvidence(fleet, history, signal);
  const departure = { worker: leaving.child.name, at };
  const takeovers = takeoversAfter([departure], fleet.wiretap.contacts, endsOf(evidence));
  const times = takeovers.map((takeover) => takeover.afterMs ?? Number.POSITIVE_INFINITY);
  const withTimeout = times.filter((ms) => ms <= ADOPTION_LIMIT_MS).length;
  const completed = evidence.jobs.filter(({ last }) => last?.status === 'completed').length;
  const firstAttempts = evidence.jobs.filter(({ last }) => last?.attempt === 1).length;
  return {
    requirements: [
      {
        what: 'jobs in flight at SIGTERM',
        required: `${JOBS}`,
        measured: `${running}`,
        met: running === JOBS,
      },
      { what: 'exit code', required: '0', measured: `${code}`, met: code === 0 },
      {
        what: 'from SIGTERM to the exit',
        required: `< ${EXIT_LIMIT_MS} ms`,
        measured: `${afterMs} ms`,
        met: afterMs < EXIT_LIMIT_MS,
      },
      {
        what: `adopted within ${ADOPTION_LIMIT_MS} ms of SIGTERM`,
        required: `${JOBS}`,
        measured: `${withTimeout} (median ${percentile(times, 0.5)} ms, last ${Math.max(...times)} ms)`,
        met: withTimeout === JOBS,
      },
      { what: 'jobs completed', required: `${JOBS}`, measured: `${completed}`, met: completed === JOBS },
      purchaseRequirement(evidence, JOBS),
      uncertainRequirement(evidence),
      {
        what: 'jobs with attempt 1',
        required: `${JOBS}`,
        measured: `${firstAttempts}`,
        met: firstAttempts === JOBS,
      },
    ],
    offences: findOffences(evidence),
    logs: fleet.folder,
  };
}
