import type { NextJob, QueueLook } from '../../src/fair-queue/fair-queue.ts';

/**
 * How many looks follow each other at once while each has only found jobs to pass over. A look takes Redis
 * about a millisecond.
 */
const LOOKS_IN_A_ROW = 16;
/**
 * How long after the last job was reached a dispatcher looks at the first ones again, in milliseconds. A job
 * of a better priority may stand among them, and some of them may have left the queue.
 */
const AGAIN_MS = 10_000;

/**
 * PassedOver remembers how far a dispatcher has looked through jobs that need a completion window while all
 * places for such jobs are taken. Any number of them may stand before a job that needs none.
 */
export interface PassedOver {
  /** How many jobs at the head of each tenant's queue the next look leaves out. */
  counts(): Readonly<Record<string, number>>;
  /**
   * note notes what a look has found.
   * @param isPassed returns whether a job needs a window.
   * @returns whether more jobs stand behind, so that the next look should follow at once.
   */
  note(look: Pick<QueueLook, 'jobs' | 'isAll'>, isPassed: (job: NextJob) => boolean): boolean;
  /** started notes that so many jobs have left the queue, perhaps from among those that were passed over. */
  started(count: number): void;
}

/** @param now returns a time in milliseconds. */
export function createPassedOver(now: () => number = () => performance.now()): PassedOver {
  const counts = new Map<string, number>();
  let inARow = 0;
  let endedAt = Number.POSITIVE_INFINITY;
  return {
    counts() {
      if (now() >= endedAt + AGAIN_MS) {
        counts.clear();
        endedAt = Number.POSITIVE_INFINITY;
      }
      return Object.fromEntries(counts);
    },
    note({ jobs, isAll }, isPassed) {
      /** Tenants with a job that is not passed over. The jobs behind it are looked at again. */
      const reached = new Set<string>();
      for (const job of jobs) {
        const { tenant } = job;
        if (!isPassed(job)) reached.add(tenant);
        if (!reached.has(tenant)) counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
      }
      if (isAll && endedAt === Number.POSITIVE_INFINITY) endedAt = now();
      inARow = isAll || reached.size > 0 ? 0 : inARow + 1;
      if (inARow > 0 && inARow < LOOKS_IN_A_ROW) return true;
      inARow = 0;
      return false;
    },
    started(count) {
      // To look at some jobs twice costs less than to miss one that stands behind them.
      for (const [tenant, passed] of counts) counts.set(tenant, Math.max(0, passed - count));
    },
  };
}
