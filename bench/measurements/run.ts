import { readUpstreamLimits } from '../../chaos/quota/upstream-limits.ts';
import { type BenchStage, inTurns, type Measurement, scaled } from '../measurement.ts';
import { enqueueBulk, finishedOf, QUESTION, untilFinished } from '../rig/jobs.ts';
import { createMeter } from '../rig/meter.ts';
import { OUR_MODEL, type Rig, withRig } from '../rig/rig.ts';
import type { Side } from '../rig/side.ts';

const WARM_UP_JOBS = 1000;
const JOBS = 4000;

/** run measures how fast one worker runs jobs whose answers are ready at once. */
export const run: Measurement = {
  name: 'run',
  description: 'running jobs with instant answers, one worker process each',
  measure: (stage) =>
    withRig(stage, { workers: 1 }, async (rig) => {
      for (const side of Object.values(rig.sides)) {
        await runJobs(stage, rig, side, scaled(stage, WARM_UP_JOBS, 50));
      }
      await inTurns(stage, 'running jobs', async (name) => {
        const { seconds, jobs, use, whole, creates } = await runJobs(
          stage,
          rig,
          rig.sides[name],
          scaled(stage, JOBS, 200),
        );
        const { tally } = stage;
        tally.add('runPerSecond', name, jobs / seconds);
        tally.add('runWorker', name, use.processMs / jobs);
        tally.add('runRedis', name, (use.redis.cpuMs * 1000) / jobs);
        tally.add('runCalls', name, use.redis.calls / jobs);
        tally.add('runScripts', name, use.redis.scripts / jobs);
        tally.add('runCreates', name, creates);
        tally.add('redisPerJob', name, whole);
      });
    }),
};

/**
 * Enqueues the jobs and waits until they have finished. It measures from the moment when all are accepted.
 * Jobs that have finished by then do not count. `whole` is the CPU time of Redis a job in microseconds, from
 * the first bulk on. `creates` is how many creates the upstream has accepted for a job.
 */
async function runJobs({ signal }: BenchStage, rig: Rig, side: Side, count: number) {
  const jobs = Array.from({ length: count }, () => ({ question: QUESTION, stream: true }));
  const bought = async (): Promise<number> =>
    (await readUpstreamLimits(rig.fleet.upstreamUrl, OUR_MODEL)).accepted;
  const boughtBefore = await bought();
  const target = (await finishedOf(rig, side)) + count;
  const usedInAll = await createMeter(rig.redis, []);
  await enqueueBulk(side, jobs, signal);
  const used = await createMeter(rig.redis, side.workers);
  const before = await finishedOf(rig, side);
  const startedAt = performance.now();
  await untilFinished(rig, side, target, signal);
  const seconds = (performance.now() - startedAt) / 1000;
  const { redis } = await usedInAll();
  return {
    seconds,
    jobs: target - before,
    use: await used(),
    whole: (redis.cpuMs * 1000) / count,
    creates: ((await bought()) - boughtBefore) / count,
  };
}
