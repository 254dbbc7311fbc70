import type { JobView } from '../../../src/job/view.ts';
import { daysBefore, utcDay } from '../../../src/usage/utc-day.ts';
import { eventually } from '../eventually.ts';
import { startWorkerWorld, type WorkerWorld, type WorkerWorldOptions } from '../worlds/worker-world.ts';
import { type CrashWorker, startCrashWorker } from './crash-worker.ts';

/** How jobs are asked for, and what happens to them while they run. */
export interface CrashScenario {
  metadata: Record<string, string>;
  stream?: boolean;
  /** The completion window in which every response is to be bought. Default: none. */
  window?: '8h';
  /** Whether no response ends before it is cancelled. */
  isEndless?: boolean;
  world?: WorkerWorldOptions;
  /**
   * What befalls every job as soon as it has a response: somebody cancels it, its worker is told to leave, or
   * is killed at once. Without it the worker is killed when every job that comes so far has ended.
   */
  meanwhile?: 'cancel' | 'leave' | 'die';
  /**
   * Whether every job's lock runs out between the end of its record and the first call that tells BullMQ of
   * it.
   */
  runsOutOfLocks?: boolean;
  /** What befalls every unfinished job after the death of its worker, before the next one comes. */
  afterwards?: 'cancel';
}

/** A job whose worker died, and what became of it under the next one. */
export interface CrashedJob {
  /** What had happened to it; the last entry is the place where its worker died. */
  trail: readonly string[];
  end: CrashEnd;
}

export interface CrashEnd {
  status: string;
  attempt: number;
  purchases: number;
  uncertain_purchases: number;
  /** The code of its failure. */
  error?: string;
  /** Whether its answer is that to its question. */
  answered?: boolean;
  /** How everything that was bought for it ended at the upstream, oldest first. */
  responses: string[];
  /** The state that BullMQ knows it in. */
  bullmq: string;
  /** What is left of its lock. */
  lock: string | null;
}

/** More than any scenario has. */
const MOST_PLACES = 50;
/** Room for a lock to run out, for two looks at what stalled and for another attempt. */
const RECOVERED_MS = 90_000;
/** What has not come home when its worker dies never will. */
const PATIENCE = { graceMs: 100 };
/**
 * Locks must not run out before the worker dies, on a busy machine either: its attempts would take other
 * steps. They run out about when the worker is taken for dead, so that this costs no time.
 */
const RECOVERY = { lockMs: 4000, stalledMs: 200 };
const WHILE_IT_ANSWERS = 'while it answers';

/**
 * Runs a job for every place at which its worker can die, kills the worker when each job stands at its own,
 * and lets another worker go on. The places are found, not listed: a job for which no place is left runs to
 * its end.
 */
export async function crashEverywhere(scenario: CrashScenario): Promise<CrashedJob[]> {
  const world = await startWorkerWorld({ ...scenario.world, workers: 0, recovery: RECOVERY });
  const worker = await startCrashWorker({
    settings: world.models,
    redisUrl: world.redis.url,
    prefix: 'o3q',
    concurrency: 2 * MOST_PLACES,
    // Those that are held in the middle of a purchase keep their slots.
    upstream: { apiKey: 'sk-test', baseUrl: world.gate.url, patience: PATIENCE, createsAtOnce: MOST_PLACES },
    recovery: RECOVERY,
    runsOutOfLocks: scenario.runsOutOfLocks ?? false,
  });
  try {
    const jobs = await bringToTheirPlaces(world, worker, scenario);
    await worker.kill();
    const crashed = crashedJobs(worker, scenario);
    if (scenario.afterwards === 'cancel') {
      const unfinished = jobs.filter((_job, number) => !worker.trail(number).includes('after run.finish'));
      await Promise.all(unfinished.map(({ id }) => world.queue.cancel(id)));
    }
    world.addWorker({ patience: PATIENCE });
    const ended = await Promise.all(
      crashed.map(async ({ number, trail }) => ({ trail, end: await endOf(world, number, jobs, scenario) })),
    );
    // Jobs that were held nowhere may still be on their way to their ends.
    await eventually(() => requireBookedOnce(world), RECOVERED_MS);
    if (scenario.window !== undefined) await requireWindow(scenario.window, world, jobs);
    return ended;
  } finally {
    await worker.kill();
    await world.stop();
  }
}

const IN_TWELVE_HOURS = new Date(Date.now() + 12 * 3_600_000).toISOString();
const questionOf = (number: number): string => `What if its worker dies, number ${number}?`;

async function bringToTheirPlaces(
  world: WorkerWorld,
  worker: CrashWorker,
  { metadata, stream = true, window, meanwhile, runsOutOfLocks = false }: CrashScenario,
): Promise<JobView[]> {
  // From its first job a worker learns what its upstream can do, so that all later ones take the same way.
  await world.finished((await world.ask('Is there a background mode?')).id, RECOVERED_MS);
  const jobs = await Promise.all(
    Array.from({ length: MOST_PLACES }, (_, number) =>
      world.ask(questionOf(number), metadata, { stream, ...(window && { needed_by: IN_TWELVE_HOURS }) }),
    ),
  );
  const eachIsHeldOr = (is: (id: string, trail: readonly string[]) => Promise<boolean>): Promise<void> =>
    eventually(async () => {
      for (const [number, { id }] of jobs.entries()) {
        const trail = worker.trail(number);
        if (worker.isHeld(number) || (await is(id, trail))) continue;
        throw new Error(
          `expected job ${number} to go on or to be held, but it stands at ${trail.join(', ')}`,
        );
      }
    }, RECOVERED_MS);

  if (meanwhile !== undefined) {
    await eachIsHeldOr(async (id) => {
      const job = await world.queue.get(id);
      return job?.status === 'active' && job.upstream_id !== null;
    });
  }
  if (meanwhile === 'die') return jobs;
  if (meanwhile === 'cancel') await Promise.all(jobs.map(({ id }) => world.queue.cancel(id)));
  if (meanwhile === 'leave') worker.leave();
  await eachIsHeldOr(
    async (_id, trail) => isThrough(trail, meanwhile) && (!runsOutOfLocks || isToldAgain(trail)),
  );
  return jobs;
}

/** Whether the worker is done with a job that it was to hold nowhere. */
function isThrough(trail: readonly string[], meanwhile: 'cancel' | 'leave' | undefined): boolean {
  return trail.at(-1) === (meanwhile === 'leave' ? 'after job.give-back' : 'after moveToFinished');
}

/**
 * Without its lock, BullMQ takes neither a completion nor a failure. The next start of the job tells it
 * again.
 */
function isToldAgain(trail: readonly string[]): boolean {
  return trail.lastIndexOf('after moveToActive') > trail.indexOf('after moveToFinished');
}

/** The jobs that were held, each with its trail. */
function crashedJobs(
  worker: CrashWorker,
  { meanwhile }: CrashScenario,
): { number: number; trail: readonly string[] }[] {
  const all = Array.from({ length: MOST_PLACES }, (_, number) => ({ number, trail: worker.trail(number) }));
  const held = all.filter(({ number }) => worker.isHeld(number));
  const free = all.find(({ number }) => !worker.isHeld(number));
  if (free === undefined) throw new Error(`expected at most ${MOST_PLACES} places, but there are more`);
  return meanwhile === 'die' ? [...held, { ...free, trail: [...free.trail, WHILE_IT_ANSWERS] }] : held;
}

/**
 * Whatever a crash did: each response that a job is known to have bought is booked once. Beside these only
 * uncertain purchases are booked, each at most once.
 */
async function requireBookedOnce({ queue }: WorkerWorld): Promise<void> {
  let bought = 0;
  let uncertain = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await queue.list({ limit: 100, cursor });
    for (const job of page.jobs) {
      bought += job.purchases;
      uncertain += job.uncertain_purchases;
    }
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  const { requests } = (await queue.usage({ to: daysBefore(utcDay(Date.now()), -1) })).total;
  if (requests < bought || requests > bought + uncertain)
    throw new Error(
      `expected each of ${bought} responses, and perhaps ${uncertain} uncertain ones, to be booked once, but ${requests} are booked`,
    );
}

/** Whichever worker bought a response, or adopted it: its window is that of the job's reservation. */
async function requireWindow(window: string, world: WorkerWorld, jobs: readonly JobView[]): Promise<void> {
  for (const [number, { id }] of jobs.entries()) {
    const bought = world.bought(questionOf(number)).map(({ completion_window }) => completion_window);
    const recorded = await world.client.hget(world.keys.run(id), 'completion_window');
    if (recorded === window && bought.every((each) => each === window)) continue;
    throw new Error(`expected job ${number} in the window ${window}, but got ${recorded}: ${bought}`);
  }
}

async function endOf(
  world: WorkerWorld,
  number: number,
  jobs: readonly JobView[],
  { isEndless = false }: CrashScenario,
): Promise<CrashEnd> {
  const id = jobs[number]?.id ?? '';
  const question = questionOf(number);
  const job = await world.finished(id, RECOVERED_MS);
  return eventually(async () => {
    const bullmq = await world.model().bullmq.getJobState(id);
    const responses = world.bought(question).map(({ state }) => state);
    const { status, attempt, purchases, uncertain_purchases } = (await world.queue.get(id)) ?? job;
    const running = responses.filter((state) => state === 'queued' || state === 'in_progress').length;
    const lost = isEndless ? responses.length - purchases : 0;
    if (running > lost || (bullmq !== 'completed' && bullmq !== 'failed')) {
      throw new Error(
        `expected job ${number} to be over, but at BullMQ it is ${bullmq}, upstream ${responses}`,
      );
    }
    return {
      status,
      attempt,
      purchases,
      uncertain_purchases,
      ...(job.status === 'failed' && { error: job.error.code }),
      ...(job.status === 'completed' && { answered: (await world.answer(id))?.includes(question) ?? false }),
      responses,
      bullmq,
      lock: await world.client.get(world.keys.lock(id)),
    };
  }, RECOVERED_MS);
}
