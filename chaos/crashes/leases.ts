import { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { createQuota, type Quota } from '../../src/quota/quota.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { findOffences } from '../evidence/checks.ts';
import { gatherEvidence } from '../evidence/evidence.ts';
import { createHistory } from '../evidence/history.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement, totalPurchases, uncertainRequirement } from '../evidence/purchases.ts';
import { createCallers } from '../fleet/callers.ts';
import { type Fleet, withFleet } from '../fleet/fleet.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { createRandom } from '../fleet/random.ts';
import { becomes, inParallel, pause } from '../fleet/timing.ts';
import { isClean, type Report, type Requirement, type Stage } from '../scenario.ts';

const MOST_IN_FLIGHT = 40;
const JOBS = 240;
const THINK_MS = { least: 5000, most: 25_000 };
const CALLERS = 20;
const MODEL = 'o3';
const WHOLE_WITHIN_MS = 30_000;
/** Longer than is allowed, so that the table says how long it did take. */
const LOOK_FOR_MS = 90_000;
const LOOK_EVERY_MS = 100;
/** With all places taken, so that some responses end soon after the kill. */
const FULL_FOR_MS = 5000;
const FIRST_GRANTS_LIMIT_MS = 10_000;
const LIMIT_MS = 240_000;

/** A worker killed with reservations in its hands, and the next one with responses in flight: what they held comes back. */
export function runLeases(stage: Stage): Promise<Report> {
  return withFleet(
    stage,
    {
      workers: 0,
      webhooks: false,
      proxies: false,
      config: { models: { [MODEL]: { maxInFlight: MOST_IN_FLIGHT } } },
    },
    (fleet) => leases(stage, fleet),
    isClean,
  );
}

async function leases({ seed, signal, progress }: Stage, fleet: Fleet): Promise<Report> {
  const history = createHistory();
  const callers = createCallers(fleet, history, signal);
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  const queue = new InstanceQueue({ redisUrl: fleet.redis.url });
  try {
    const quota = createQuota(redis, 'o3q', MODEL);
    const [model] = queue.queues;
    if (model === undefined) throw new Error('expected a model in the default configuration');
    // As the board's button does it: all are to be granted at once, in the instant in which the worker is killed.
    await model.bullmq.pause();
    progress(`enqueueing ${JOBS} jobs`);
    await inParallel(planCalmJobs(createRandom(seed), JOBS, THINK_MS), CALLERS, callers.ask);
    const first = await fleet.addWorker();
    await model.bullmq.resume();

    progress('first grants');
    const isGranting = async (): Promise<boolean> => (await quota.snapshot()).inFlight > 0;
    if (!(await becomes(isGranting, FIRST_GRANTS_LIMIT_MS, signal, 1)))
      throw new Error('expected a grant, saw none');
    const reserved = await kill(fleet, quota, first);
    const second = await fleet.addWorker();
    const wholeFirst = await wholeAgain(fleet, quota, reserved, progress, signal);

    await pause(FULL_FOR_MS, signal);
    const running = await kill(fleet, quota, second);
    await fleet.addWorker();
    const wholeSecond = await wholeAgain(fleet, quota, running, progress, signal);

    progress('waiting for the answers');
    await callers.allFinished(LIMIT_MS);
    const evidence = await gatherEvidence(fleet, history, signal);
    const isEmpty = async (): Promise<boolean> => (await quota.snapshot()).inFlight === 0;
    const emptied = await becomes(isEmpty, WHOLE_WITHIN_MS, signal);
    const { most_running: most } = (await readLedger(fleet.upstreamUrl)).totals;
    const { uncertain } = totalPurchases(evidence);
    return {
      requirements: [
        {
          what: 'first kill: reservations of it, not yet sent',
          required: '≥ 1',
          measured: `${reserved.held - reserved.running} of ${reserved.held}`,
          met: reserved.held > reserved.running,
        },
        wholeRequirement(wholeFirst),
        {
          what: 'second kill: responses in flight',
          required: `≥ ${MOST_IN_FLIGHT - 2}`,
          measured: `${running.running}, ${running.held} places held`,
          met: running.running >= MOST_IN_FLIGHT - 2,
        },
        wholeRequirement(wholeSecond),
        {
          what: 'most in flight at once',
          required: `≤ ${MOST_IN_FLIGHT}${uncertain > 0 ? ` and ${uncertain} that nobody knew of` : ''}`,
          measured: `${most}`,
          met: most <= MOST_IN_FLIGHT + uncertain,
        },
        {
          what: 'places held when all is done',
          required: '0',
          measured: `${(await quota.snapshot()).inFlight}`,
          met: emptied,
        },
        purchaseRequirement(evidence, JOBS),
        uncertainRequirement(evidence),
      ],
      offences: findOffences(evidence),
      logs: fleet.folder,
    };
  } finally {
    redis.disconnect();
    await queue.close();
  }
}

/** What was held, and what ran, when a worker was gone. */
interface Killed {
  at: number;
  held: number;
  running: number;
  purchases: number;
}

async function kill(fleet: Fleet, quota: Quota, worker: Fleet['workers'][number]): Promise<Killed> {
  const at = fleet.killWorker(worker);
  await worker.child.exited;
  const [{ inFlight: held }, { totals }] = await Promise.all([
    quota.snapshot(),
    readLedger(fleet.upstreamUrl),
  ]);
  return { at, held, running: totals.running, purchases: totals.purchases };
}

interface Whole {
  /** From the kill to the first new create, and until as many run as may; infinite: never. */
  firstCreateMs: number;
  wholeMs: number;
}

/** Whole: something new was bought, all places are in use, and every place that is held is one of a response that runs. */
async function wholeAgain(
  fleet: Fleet,
  quota: Quota,
  killed: Killed,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<Whole> {
  let firstCreateMs = Number.POSITIVE_INFINITY;
  let wholeMs = Number.POSITIVE_INFINITY;
  const isWhole = async (): Promise<boolean> => {
    const { totals } = await readLedger(fleet.upstreamUrl);
    const { inFlight } = await quota.snapshot();
    const afterMs = Date.now() - killed.at;
    progress(`${(afterMs / 1000).toFixed(0)} s: ${totals.running} run, ${inFlight} places are held`);
    if (totals.purchases === killed.purchases) return false;
    firstCreateMs = Math.min(firstCreateMs, afterMs);
    if (totals.running < MOST_IN_FLIGHT || inFlight !== totals.running) return false;
    wholeMs = afterMs;
    return true;
  };
  await becomes(isWhole, LOOK_FOR_MS, signal, LOOK_EVERY_MS);
  return { firstCreateMs, wholeMs };
}

function wholeRequirement({ firstCreateMs, wholeMs }: Whole): Requirement {
  return {
    what: `from the kill until all ${MOST_IN_FLIGHT} places are in use by what runs`,
    required: `≤ ${seconds(WHOLE_WITHIN_MS)}`,
    measured: `${seconds(wholeMs)}, the first create after ${seconds(firstCreateMs)}`,
    met: wholeMs <= WHOLE_WITHIN_MS,
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
