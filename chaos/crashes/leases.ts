import { sleep } from '../../src/async/sleep.ts';
import { InstanceQueue } from '../../src/queue/instance-queue.ts';
import { createQuota, type Quota } from '../../src/quota/quota.ts';
import { connectRedis } from '../../src/redis/connection.ts';
import { findViolations } from '../evidence/checks.ts';
import { readLedger } from '../evidence/ledger.ts';
import { purchaseRequirement, totalPurchases, uncertainRequirement } from '../evidence/purchases.ts';
import { type Requirement, seconds } from '../evidence/report.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { planCalmJobs } from '../fleet/job-plan.ts';
import { becomes, inParallel } from '../fleet/timing.ts';
import { type Findings, scenario, type World } from '../scenario.ts';

const MOST_IN_FLIGHT = 40;
const JOBS = 240;
const THINK_MS = { least: 5000, most: 25_000 };
const CALLERS = 20;
const MODEL = 'o3';
const RECOVERY_LIMIT_MS = 30_000;
/**
 * How long the scenario waits for the recovery, in milliseconds. The limit is longer than the promise allows,
 * so that the table can show how long the recovery took.
 */
const LOOK_FOR_MS = 90_000;
const LOOK_EVERY_MS = 100;
/**
 * How long all slots are in use before the kill, in milliseconds. Some responses then end soon after the
 * kill.
 */
const FULL_FOR_MS = 5000;
const FIRST_RESERVATION_LIMIT_MS = 10_000;
const LIMIT_MS = 240_000;

/**
 * runLeases kills a worker that holds reservations, and then a worker that holds responses in flight. It
 * measures how soon others can use what the dead workers held.
 */
export const runLeases = scenario(
  { workers: 0, config: { models: { [MODEL]: { maxInFlight: MOST_IN_FLIGHT } } } },
  leases,
);

async function leases(world: World): Promise<Findings> {
  const { fleet, callers, random, signal, progress } = world;
  const redis = connectRedis(fleet.redis.url, 'patient', { onError: () => {} });
  const queue = new InstanceQueue({ redisUrl: fleet.redis.url });
  try {
    const quota = createQuota(redis, 'o3q', MODEL);
    const [model] = queue.queues;
    if (model === undefined) throw new Error('expected a model in the default configuration');
    // The scenario pauses the queue, as the board's button does. After the resume the worker reserves all
    // jobs at once, and at that moment it is killed.
    await model.bullmq.pause();
    progress(`enqueueing ${JOBS} jobs`);
    await inParallel(planCalmJobs(random, JOBS, THINK_MS), CALLERS, callers.ask);
    const first = await fleet.addWorker();
    await model.bullmq.resume();

    progress('first reservations');
    const hasReserved = async (): Promise<boolean> => (await quota.snapshot()).inFlight > 0;
    if (!(await becomes(hasReserved, FIRST_RESERVATION_LIMIT_MS, signal, 1)))
      throw new Error('expected a reservation, saw none');
    const reserved = await kill(fleet, quota, first);
    const second = await fleet.addWorker();
    const firstRecovery = await waitForRecovery(fleet, quota, reserved, progress, signal);

    await sleep(FULL_FOR_MS, signal);
    const running = await kill(fleet, quota, second);
    await fleet.addWorker();
    const secondRecovery = await waitForRecovery(fleet, quota, running, progress, signal);

    progress('waiting for the answers');
    await callers.allFinished(LIMIT_MS);
    const evidence = await world.evidence();
    const isEmpty = async (): Promise<boolean> => (await quota.snapshot()).inFlight === 0;
    const emptied = await becomes(isEmpty, RECOVERY_LIMIT_MS, signal);
    const { most_running: most } = (await readLedger(fleet.upstreamUrl)).totals;
    const { uncertain } = totalPurchases(evidence);
    return {
      requirements: [
        {
          what: 'first kill: reservations of jobs not yet sent',
          required: '≥ 1',
          measured: `${reserved.held - reserved.running} of ${reserved.held}`,
          met: reserved.held > reserved.running,
        },
        recoveryRequirement(firstRecovery),
        {
          what: 'second kill: responses in flight',
          required: `≥ ${MOST_IN_FLIGHT - 2}`,
          measured: `${running.running}, ${running.held} slots held`,
          met: running.running >= MOST_IN_FLIGHT - 2,
        },
        recoveryRequirement(secondRecovery),
        {
          what: 'most in flight at once',
          required: `≤ ${MOST_IN_FLIGHT}${uncertain > 0 ? ` and ${uncertain} of uncertain purchases` : ''}`,
          measured: `${most}`,
          met: most <= MOST_IN_FLIGHT + uncertain,
        },
        {
          what: 'slots held at the end',
          required: '0',
          measured: `${(await quota.snapshot()).inFlight}`,
          met: emptied,
        },
        purchaseRequirement(evidence, JOBS),
        uncertainRequirement(evidence),
      ],
      violations: findViolations(evidence),
    };
  } finally {
    redis.disconnect();
    await queue.close();
  }
}

/** Killed counts the slots that were held and the responses that ran just after a worker was killed. */
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

/** Recovery is how long it took to use a dead worker's slots again. */
interface Recovery {
  /** Milliseconds from the kill to the first new create; infinite: never. */
  firstCreateMs: number;
  /** Milliseconds from the kill until all slots were in use; infinite: never. */
  fullMs: number;
}

/**
 * Waits until something new was bought, all slots are in use, and every held slot belongs to a running
 * response.
 */
async function waitForRecovery(
  fleet: Fleet,
  quota: Quota,
  killed: Killed,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<Recovery> {
  let firstCreateMs = Number.POSITIVE_INFINITY;
  let fullMs = Number.POSITIVE_INFINITY;
  const isFull = async (): Promise<boolean> => {
    const { totals } = await readLedger(fleet.upstreamUrl);
    const { inFlight } = await quota.snapshot();
    const afterMs = Date.now() - killed.at;
    progress(`${(afterMs / 1000).toFixed(0)} s: ${totals.running} run, ${inFlight} slots are held`);
    if (totals.purchases === killed.purchases) return false;
    firstCreateMs = Math.min(firstCreateMs, afterMs);
    if (totals.running < MOST_IN_FLIGHT || inFlight !== totals.running) return false;
    fullMs = afterMs;
    return true;
  };
  await becomes(isFull, LOOK_FOR_MS, signal, LOOK_EVERY_MS);
  return { firstCreateMs, fullMs };
}

function recoveryRequirement({ firstCreateMs, fullMs }: Recovery): Requirement {
  return {
    what: `from the kill until running responses use all ${MOST_IN_FLIGHT} slots`,
    required: `≤ ${seconds(RECOVERY_LIMIT_MS)}`,
    measured: `${seconds(fullMs)}, the first create after ${seconds(firstCreateMs)}`,
    met: fullMs <= RECOVERY_LIMIT_MS,
  };
}
