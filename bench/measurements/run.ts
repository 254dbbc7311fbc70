import { type BenchStage, inTurns, type Measurement, scaled } from '../measurement.ts';
import { enqueueBulk, finishedOf, QUESTION, untilFinished } from '../rig/jobs.ts';
import { createMeter } from '../rig/meter.ts';
import { type Rig, withRig } from '../rig/rig.ts';
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
        const { seconds, jobs, use, whole } = await runJobs(
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
        tally.add('redisPerJob', name, whole);
      });
    }),
};

/**
 * Enqueues the jobs and waits until they have finished. It measures from the moment when all are accepted.
 * Jobs that have finished by then do not count. `whole` is the CPU time of Redis a job in microseconds, from
 * the first bulk on.
 */
async function runJobs({ signal }: BenchStage, rig: Rig, side: Side, count: number) {
  const jobs = Array.from({ length: count }, () => ({ question: QUESTION, stream: true }));
  const target = (await finishedOf(rig, side)) + count;
  const usedInAll = await createMeter(rig.redis, []);
  await enqueueBulk(side, jobs, signal);
  const used = await createMeter(rig.redis, side.workers);
  const before = await finishedOf(rig, side);
  const startedAt = performance.now();
  await untilFinished(rig, side, target, signal);
  const seconds = (performance.now() - startedAt) / 1000;
  const { redis } = await usedInAll();
  return { seconds, jobs: target - before, use: await used(), whole: (redis.cpuMs * 1000) / count };
}
