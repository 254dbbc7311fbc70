import { sleep } from '../../src/async/sleep.ts';
import type { Rig } from './rig.ts';
import type { Side } from './side.ts';

/** BenchJob is the body of a job. Both sides get the same bytes. */
export interface BenchJob {
  question: string;
  stream?: boolean;
  metadata?: Record<string, string>;
}

/** QUESTION is as long as a short real one: 500 characters. */
export const QUESTION = 'Why is the sky blue, and what would it take to make it green? '
  .repeat(9)
  .slice(0, 500);

const BULK = 500;
const LOOK_EVERY_MS = 10;
/** How long no job may finish until the measurement fails, in milliseconds. */
const STANDSTILL_MS = 90_000;

/** enqueueBulk enqueues jobs in bulks. Resolves when all were accepted. */
export async function enqueueBulk(side: Side, jobs: readonly BenchJob[], signal: AbortSignal): Promise<void> {
  for (let i = 0; i < jobs.length; i += BULK) {
    const answer = await fetch(new URL('/jobs/bulk', side.url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jobs: jobs.slice(i, i + BULK) }),
      signal,
    });
    const said = await answer.text();
    if (answer.status !== 207)
      throw new Error(`expected 207 from ${side.name}, got ${answer.status}: ${said}`);
  }
}

/** finishedOf counts the jobs of a side that BullMQ has as finished. @throws an Error if one has failed. */
export async function finishedOf({ redis }: Rig, side: Side): Promise<number> {
  const [completed, failed] = await Promise.all([
    redis.zcard(side.finished.completed),
    redis.zcard(side.finished.failed),
  ]);
  if (failed > 0) {
    const [id = ''] = await redis.zrange(side.finished.failed, '0', '0');
    const reason = await redis.hget(side.jobKey(id), 'failedReason');
    throw new Error(`expected no job of ${side.name} to fail, but ${failed} have: ${reason}`);
  }
  return completed;
}

/** untilFinished waits until so many jobs of a side have finished. */
export async function untilFinished(rig: Rig, side: Side, count: number, signal: AbortSignal): Promise<void> {
  let seen = 0;
  let movedAt = performance.now();
  for (;;) {
    const finished = await finishedOf(rig, side);
    if (finished >= count) return;
    if (finished > seen) movedAt = performance.now();
    seen = finished;
    if (performance.now() - movedAt > STANDSTILL_MS)
      throw new Error(`${side.name} has finished ${finished} of ${count} jobs, and no more for 90 s`);
    await sleep(LOOK_EVERY_MS, signal);
  }
}
