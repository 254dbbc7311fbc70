import { QueueError } from '../problem.ts';
import type { RedisClient } from '../redis/connection.ts';
import { indexesOf } from './keys.ts';
import { type LocatedJob, notFinished, notFound } from './located-job.ts';
import { cancelScript } from './scripts/cancel.ts';
import { reopenScript } from './scripts/reopen.ts';

/** BullMQ's reason of a cancelled job, as the board shows it. */
const CANCELLED_REASON = 'cancelled: on request';

/** `cancelled`: final now. `already`: it was before. `cancelling`: a worker holds it and has been told. */
export type CancelOutcome = 'cancelled' | 'already' | 'cancelling';

/** @throws {QueueError} `job_not_found`, `job_finished` */
export async function cancelJob(
  redis: RedisClient,
  { queue, bullId, reading }: LocatedJob,
  keepS: number,
): Promise<CancelOutcome> {
  const { keys } = queue;
  const answer = await cancelScript.run(
    redis,
    [
      ...[
        keys.job(bullId),
        keys.lock(bullId),
        keys.queue('delayed'),
        keys.queue('prioritized'),
        keys.queue('active'),
      ],
      ...[
        keys.queue('wait'),
        keys.queue('failed'),
        keys.queue('events'),
        keys.run(bullId),
        keys.response(bullId),
      ],
      ...[keys.index('live'), keys.index('cancelled')],
    ],
    [bullId, Date.now(), keys.cancelChannel, keepS, CANCELLED_REASON, keys.finishedChannel],
  );
  if (answer === 'missing') throw notFound(reading.view.id);
  if (answer === 'finished') {
    throw new QueueError(
      'job_finished',
      `Job ${reading.view.id} is finished: there is nothing left to cancel`,
    );
  }
  return answer as CancelOutcome;
}

/**
 * Our record first, BullMQ second: a crash in between leaves a failed job that can be retried again. Of two retries at
 * once BullMQ lets one through.
 * @throws {QueueError} `job_not_found`, `job_finished`, `job_not_finished`
 */
export async function retryJob(redis: RedisClient, { queue, bullId, reading }: LocatedJob): Promise<void> {
  const { id, status } = reading.view;
  if (status === 'completed') {
    throw new QueueError(
      'job_finished',
      `Job ${id} is completed: only a failed or cancelled job can be retried`,
    );
  }
  const { keys } = queue;
  const indexes = [
    keys.index('live'),
    keys.index('completed'),
    keys.index('failed'),
    keys.index('cancelled'),
  ];
  const answer = await reopenScript.run(
    redis,
    [keys.job(bullId), keys.queue('failed'), keys.run(bullId), keys.response(bullId), ...indexes],
    [bullId],
  );
  const job = await queue.bullmq.getJob(bullId);
  if (answer === 'missing' || job === undefined) throw notFound(id);
  if (answer === 'unfinished') throw notFinished(id, 'being retried already');
  try {
    await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
  } catch (error: unknown) {
    if (error instanceof Error && /not in the failed state|not found/i.test(error.message)) {
      throw notFinished(id, 'being retried already');
    }
    throw error;
  }
}

/** Forgets a finished job, its record and its result. */
export async function removeJob(redis: RedisClient, { queue, bullId }: LocatedJob): Promise<void> {
  const { keys } = queue;
  await queue.bullmq.remove(bullId);
  await Promise.all([
    redis.del(keys.run(bullId), keys.response(bullId)),
    ...indexesOf(keys).map((index) => redis.zrem(index, bullId)),
  ]);
}
