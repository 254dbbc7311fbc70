import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence } from '../evidence/evidence.ts';
import { createHistory } from '../evidence/history.ts';
import { purchaseRequirement, uncertainRequirement } from '../evidence/purchases.ts';
import { createCallers } from '../fleet/callers.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { createRandom, type Random } from '../fleet/random.ts';
import { inParallel, pause, percentile } from '../fleet/timing.ts';
import { isClean, type Report, type Stage } from '../scenario.ts';
import { type Departure, endsOf, type Takeover, takeoversAfter } from './takeovers.ts';

const JOBS = 500;
const WORKERS = 4;
const THINK_MS = { least: 2000, most: 10_000 };
const KILL_EVERY_MS = 2000;
const TAKEOVER_LIMIT_MS = 20_000;
const CALLERS = 20;
const LIMIT_MS = 240_000;

/** A random worker is killed every two seconds, and replaced, until every job has ended. */
export function runKills(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    { workers: WORKERS, webhooks: false, proxies: true },
    (fleet) => kills(stage, fleet),
    isClean,
  );
}

async function kills({ seed, signal, progress }: Stage, fleet: Fleet): Promise<Report> {
  const random = createRandom(seed);
  const jobs = planCalmJobs(random, JOBS, THINK_MS);
  const history = createHistory();
  const callers = createCallers(fleet, history, signal);
  const departures: Departure[] = [];
  const over = new AbortController();
  const asking = inParallel(jobs, CALLERS, callers.ask);
  const killing = killOnAndOn(fleet, random, departures, over.signal, signal);
  killing.catch(() => {});
  const watching = reportProgress(() => {
    progress(`${history.finished} of ${JOBS} jobs have ended, ${departures.length} workers were killed`);
  });
  try {
    // Whichever breaks first ends the others, with the fleet.
    await Promise.race([killing, asking.then(() => callers.allFinished(LIMIT_MS))]);
  } finally {
    over.abort();
    watching.stop();
  }
  await killing;
  const evidence = await gatherEvidence(fleet, history, signal);
  const takeovers = takeoversAfter(departures, fleet.wiretap.contacts, endsOf(evidence));
  const statuses = evidence.jobs.map(({ last }) => last?.status);
  const completed = statuses.filter((status) => status === 'completed').length;
  const failed = statuses.filter((status) => status === 'failed').length;
  const times = takeovers.map(({ afterMs = Number.POSITIVE_INFINITY }) => afterMs);
  const longest = Math.max(0, ...times);
  const offences = [...findOffences(evidence), ...lateTakeovers(takeovers)];
  return {
    requirements: [
      { what: 'workers killed', required: 'one every 2 s', measured: `${departures.length}`, met: undefined },
      { what: 'jobs completed', required: `${JOBS}`, measured: `${completed}`, met: completed === JOBS },
      { what: 'jobs failed', required: '0', measured: `${failed}`, met: failed === 0 },
      purchaseRequirement(evidence, JOBS),
      uncertainRequirement(evidence),
      {
        what: 'jobs taken over, and median',
        required: '',
        measured: `${times.length}, ${seconds(percentile(times, 0.5))}`,
        met: undefined,
      },
      {
        what: 'longest from a kill to its job in another worker',
        required: `≤ ${seconds(TAKEOVER_LIMIT_MS)}`,
        measured: seconds(longest),
        met: longest <= TAKEOVER_LIMIT_MS,
      },
    ],
    offences,
    logs: fleet.folder,
  };
}

async function killOnAndOn(
  fleet: Fleet,
  random: Random,
  departures: Departure[],
  over: AbortSignal,
  signal: AbortSignal,
): Promise<void> {
  const replacements: Promise<unknown>[] = [];
  const startedAt = Date.now();
  for (let number = 1; ; number += 1) {
    await pause(startedAt + number * KILL_EVERY_MS - Date.now(), signal);
    if (over.aborted) break;
    // Drawn before one is looked for: the seed's sequence must not depend on how quickly replacements come up.
    const choice = random.between(0, WORKERS - 1);
    const worker = fleet.workers[choice % Math.max(1, fleet.workers.length)];
    if (worker === undefined) continue;
    departures.push({ worker: worker.child.name, at: fleet.killWorker(worker) });
    replacements.push(fleet.addWorker());
  }
  await Promise.all(replacements);
}

function lateTakeovers(takeovers: readonly Takeover[]): Report['offences'] {
  return takeovers
    .filter(({ afterMs }) => afterMs === undefined || afterMs > TAKEOVER_LIMIT_MS)
    .map(({ jobId, from, afterMs }) => ({
      rule: 'a job is taken over soon',
      about: jobId,
      expected: `another worker within ${seconds(TAKEOVER_LIMIT_MS)} of the end of ${from}`,
      seen: afterMs === undefined ? 'none' : seconds(afterMs),
    }));
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function reportProgress(show: () => void): { stop(): void } {
  const timer = setInterval(show, 1000);
  return { stop: () => clearInterval(timer) };
}
