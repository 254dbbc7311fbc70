import { readUpstreamLimits } from '../../chaos/quota/upstream-limits.ts';
import { sleep } from '../../src/async/sleep.ts';
import { type BenchStage, inTurns, type Measurement, scaled } from '../measurement.ts';
import { enqueueBulk, finishedOf, QUESTION, untilFinished } from '../rig/jobs.ts';
import { type Memory, memoryOf } from '../rig/memory.ts';
import { OUR_MODEL, type Rig, withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const JOBS = 5000;
const WARM_UP_JOBS = 500;
const WARM_UP_POLLED = 50;
/** How many jobs are enqueued before they are at the upstream. Few, so that their answers end together. */
const AHEAD = 100;
/**
 * The time until the answers end: so many times as long as instant jobs of this number take, and a fixed time
 * for the measurement of memory.
 */
const LEAD = { times: 1.5, ms: 6000 };
/** How long a worker may take to write what it has learned from the last create, in milliseconds. */
const SETTLE_MS = 1500;
const LOOK_EVERY_MS = 50;

/** InFlight is one side with one new worker. */
interface InFlight {
  stage: BenchStage;
  rig: Rig;
  side: Side;
  /** How many jobs the worker gets. */
  count: number;
}

/** inFlight measures a worker that holds thousands of jobs, and then the end of all of them. */
export const inFlight: Measurement = {
  name: 'in-flight',
  description: '5,000 jobs in one worker: memory a job, and until all have finished when they end together',
  async measure(stage) {
    const count = scaled(stage, JOBS, 100);
    for (const kind of ['streamed', 'polled'] as const) {
      await inTurns(stage, `${kind} jobs in flight`, (name) =>
        // Every value needs a worker that has held no other jobs.
        withRig(stage, { inspectable: true, concurrency: count + AHEAD }, async (rig) => {
          await rig.sides[name].addWorker();
          await measureOne({ stage, rig, side: rig.sides[name], count }, kind);
        }),
      );
    }
  },
};

async function measureOne(inFlight: InFlight, kind: 'streamed' | 'polled'): Promise<void> {
  const { stage, rig, side, count } = inFlight;
  const { signal, tally } = stage;
  const warmUp = scaled(stage, WARM_UP_JOBS, 50);
  const startedAt = performance.now();
  await enqueueBulk(side, jobsOf(warmUp, true, 0), signal);
  await untilFinished(rig, side, warmUp, signal);
  const msPerJob = (performance.now() - startedAt) / warmUp;
  await enqueueBulk(side, jobsOf(WARM_UP_POLLED, false, 0), signal);
  const earlier = warmUp + WARM_UP_POLLED;
  await untilFinished(rig, side, earlier, signal);
  const idle = await settledMemory(inFlight);
  const endsAt = Date.now() + count * msPerJob * LEAD.times + LEAD.ms;
  await fill(inFlight, kind === 'streamed', earlier, endsAt);
  const full = await settledMemory(inFlight);
  if (Date.now() >= endsAt || (await finishedOf(rig, side)) > earlier) {
    stage.say(`${side.name} took so long to start ${count} jobs that the first had already ended`);
    return;
  }
  tally.add(`${kind}Resident`, side.name, (full.residentKb - idle.residentKb) / count);
  tally.add(`${kind}Heap`, side.name, (full.heapKb - idle.heapKb) / count);
  stage.progress(`${side.name}: waiting for the common end`);
  await sleep(endsAt - Date.now(), signal);
  await untilFinished(rig, side, earlier + count, signal);
  tally.add(`${kind}End`, side.name, (Date.now() - endsAt) / 1000);
}

function jobsOf(count: number, stream: boolean, thinkMs: number) {
  const metadata = { sim_think_ms: String(Math.max(0, Math.round(thinkMs))) };
  return Array.from({ length: count }, () => ({ question: QUESTION, stream, metadata }));
}

/** Enqueues jobs only as fast as the worker starts them, so that all end at the same time. */
async function fill(
  { stage, rig, side, count }: InFlight,
  stream: boolean,
  startedBefore: number,
  endsAt: number,
): Promise<void> {
  const { signal } = stage;
  const started = async (): Promise<number> =>
    (await readUpstreamLimits(rig.fleet.upstreamUrl, OUR_MODEL)).accepted - startedBefore;
  const untilStarted = async (target: number): Promise<void> => {
    while ((await started()) < target) {
      if (Date.now() > endsAt) return;
      await sleep(LOOK_EVERY_MS, signal);
    }
  };
  for (let enqueued = 0; enqueued < count; ) {
    const more = Math.min(AHEAD, count - enqueued);
    await enqueueBulk(side, jobsOf(more, stream, endsAt - Date.now()), signal);
    enqueued += more;
    await untilStarted(enqueued - AHEAD / 2);
    stage.progress(`${side.name}: ${enqueued} of ${count} jobs are in flight`);
  }
  await untilStarted(count);
}

async function settledMemory({ stage, rig, side }: InFlight): Promise<Memory> {
  await sleep(SETTLE_MS, stage.signal);
  const [worker] = side.workers;
  if (worker === undefined) throw new Error('expected a worker');
  return memoryOf(worker, rig.folder);
}
