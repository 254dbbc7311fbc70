import { delayedScore, WAITING_SCORE } from '../../src/fair-queue/parked.ts';
import { optionsFrom } from '../../src/job/stored-options.ts';
import type { RunEnding, RunObserver, RunRecord } from '../../src/run/record.ts';
import type { ModelMetrics } from './model-metrics.ts';

/** ObservedJob is what the metrics use of a job of BullMQ. */
interface ObservedJob {
  opts: { delay?: number };
  timestamp: number;
  attemptsMade: number;
}

/**
 * createRunObserver returns an observer that counts the start, the spending and the end of a job's run.
 *
 * @param isSimulated returns whether the upstream is the simulator, whose answers cost nothing.
 */
export function createRunObserver(
  job: ObservedJob,
  metrics: ModelMetrics,
  isSimulated: () => boolean,
): RunObserver {
  return {
    onFirstStart(record) {
      const waitedMs = queueTimeOf(job, record);
      if (waitedMs !== undefined) metrics.queued(waitedMs);
    },
    onSpent: (spent) => metrics.spent(spent, isSimulated()),
    onEnd: (end) => metrics.ended(end, isLate(job, end)),
  };
}

/**
 * Returns how long a job has waited for the first attempt of its run, in milliseconds; undefined: it was retried
 * on Bull Board, at an unknown time.
 */
function queueTimeOf(job: ObservedJob, { acts, startedAt = 0 }: RunRecord): number | undefined {
  const retriedAt = acts.findLast(({ what }) => what === 'retry')?.at;
  if (retriedAt === undefined && job.attemptsMade > 0) return undefined;
  return Math.max(0, startedAt - Math.max(dueAtOf(job), retriedAt ?? 0));
}

/**
 * Returns when a job could first start, in Unix milliseconds. BullMQ itself delays the jobs of other BullMQ
 * clients; the delay of ours only parks them.
 */
function dueAtOf({ opts, timestamp }: ObservedJob): number {
  const due = optionsFrom(opts).due ?? timestamp + (opts.delay ?? 0);
  return delayedScore(due) < WAITING_SCORE ? due : timestamp;
}

/** Returns whether a job had no answer at its `deadline` or its `needed_by`. */
function isLate({ opts }: ObservedJob, { status, code, at }: RunEnding): boolean {
  if (code === 'deadline_passed') return true;
  return status === 'completed' && at > (optionsFrom(opts).need?.by ?? Number.POSITIVE_INFINITY);
}
