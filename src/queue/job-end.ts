import { isFinishedJob } from '../job/job.ts';
import type { WaitOptions } from '../job/job-queue.ts';
import type { CompletedJob, JobView, UncompletedJob } from '../job/view.ts';
import { type FoundJob, notFound, queuesOf, readAgain, requireJob } from '../job-store/find.ts';
import type { QueueCore } from './queue-core.ts';

/** BoundedWait is a WaitOptions without defaults. */
export type BoundedWait = WaitOptions & {
  timeoutMs: number;
  /**
   * A job that this process has just stored, and a time of `performance.now()` before its storing. The wait
   * then needs no look at the job before its end.
   */
  stored?: { job: JobView; notBefore: number };
};

/** NO_WAIT reads the job once, without waiting. */
export const NO_WAIT: BoundedWait = { timeoutMs: 0 };

/**
 * waitForEnd finds a job, and waits until it has ended.
 * @param tenant the tenant whose jobs the caller may see; undefined: all jobs.
 * @returns the job as it is after the wait. It may not have ended.
 */
export async function waitForEnd(
  { guard, queues, waiters }: Pick<QueueCore, 'guard' | 'queues' | 'waiters'>,
  id: string,
  tenant: string | undefined,
  { timeoutMs, signal, stored }: BoundedWait,
): Promise<FoundJob> {
  const model = stored?.job.model;
  let latest: FoundJob | undefined;
  const read = async (): Promise<FoundJob> => {
    latest = await guard(() =>
      latest === undefined ? requireJob(queues, id, tenant, model) : readAgain(latest),
    );
    return latest;
  };
  // Not `timeoutMs <= 0`: NaN must not wait for ever.
  if (!(timeoutMs > 0)) return read();
  const [mayHold, bullId] = queuesOf(queues, id, model);
  const look = async (): Promise<FoundJob | null> => {
    const found = await read();
    return isFinishedJob(found.reading.view) ? found : null;
  };
  const channels = mayHold.map(({ keys }) => keys.finishedChannel);
  // A caller need not wait for the first subscription to hear that the job has ended, or does not exist.
  const ended = waiters.isListening(channels) ? null : await look();
  if (ended !== null) return ended;
  const options = { timeoutMs, signal, unfinishedAt: stored?.notBefore };
  return (await waiters.wait(channels, bullId, look, options)) ?? latest ?? read();
}

/** StoredResult is a job after the wait for its end, with the bytes of its response if it is completed. */
type StoredResult =
  | { completed: false; job: UncompletedJob }
  | { completed: true; job: CompletedJob; stored: Buffer };

/**
 * storedResult reads the response of a completed job.
 * @throws {QueueError} `job_not_found` when the response was deleted meanwhile.
 */
export async function storedResult({ queue, bullId, reading }: FoundJob): Promise<StoredResult> {
  const job = reading.view;
  if (job.status !== 'completed') return { completed: false, job };
  const stored = await queue.response(bullId);
  if (stored === null) throw notFound(job.id);
  return { completed: true, job, stored };
}
