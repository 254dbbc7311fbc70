import { QueueError } from '../errors/problem.ts';
import { fairQueueKeys } from '../fair-queue/fair-queue.ts';
import { cancelScript } from '../lua/queue/cancel.ts';
import { forgetScript } from '../lua/queue/forget.ts';
import { reopenScript } from '../lua/queue/reopen.ts';
import type { RedisClient } from '../redis/connection.ts';
import { indexesOf } from '../redis/keys.ts';
import { type FoundJob, notFinished, notFound } from './find.ts';

/** BullMQ's reason of a cancelled job, as the board shows it. */
const CANCELLED_REASON = 'cancelled: on request';

/** `cancelled`: final now. `already`: it was before. `cancelling`: a worker holds it and has been told. */
export type CancelOutcome = 'cancelled' | 'already' | 'cancelling';

/** @throws {QueueError} `job_not_found`, `job_finished` */
export async function cancelJob(
  redis: RedisClient,
  { queue, bullId, reading }: FoundJob,
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
      ...[keys.index('all'), keys.index('live'), keys.index('cancelled'), keys.eventLog(bullId)],
      keys.outbox,
      ...fairQueueKeys(keys),
    ],
    [
      ...[bullId, Date.now(), keys.cancelChannel, keepS, CANCELLED_REASON, keys.finishedChannel],
      reading.view.tenant ?? '',
    ],
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
 * BullMQ first, our record second: the scripts say what a crash in between leaves. Of two retries at once BullMQ lets one
 * through.
 * @throws {QueueError} `job_not_found`, `job_finished`, `job_not_finished`
 */
export async function retryJob(redis: RedisClient, { queue, bullId, reading }: FoundJob): Promise<void> {
  const { id, status } = reading.view;
  if (status === 'completed') {
    throw new QueueError(
      'job_finished',
      `Job ${id} is completed: only a failed or cancelled job can be retried`,
    );
  }
  const job = await queue.bullmq.getJob(bullId);
  if (job === undefined) throw notFound(id);
  try {
    await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
  } catch (error: unknown) {
    const message = error instanceof Error ? error.message : '';
    if (message.includes('not in the failed state')) throw notFinished(id, 'being retried already');
    if (message.startsWith('Missing key')) throw notFound(id);
    throw error;
  }
  const { keys } = queue;
  const indexes = (['live', 'completed', 'failed', 'cancelled'] as const).map((part) => keys.index(part));
  await reopenScript.run(
    redis,
    [keys.job(bullId), keys.run(bullId), keys.response(bullId), ...indexes, keys.eventLog(bullId)],
    [bullId],
  );
}

/**
 * Forgets a finished job, its record and its result.
 * @throws {QueueError} `job_not_found`, `job_not_finished`
 */
export async function removeJob(redis: RedisClient, { queue, bullId, reading }: FoundJob): Promise<void> {
  const { keys } = queue;
  const { id } = reading.view;
  const answer = await forgetScript.run(
    redis,
    [
      ...[
        keys.job(bullId),
        keys.lock(bullId),
        keys.queue('delayed'),
        keys.queue('prioritized'),
        keys.queue('active'),
      ],
      ...[keys.run(bullId), keys.response(bullId), keys.eventLog(bullId)],
      ...indexesOf(keys),
      ...(reading.view.tenant === null ? [] : [keys.tenantIndex(reading.view.tenant)]),
    ],
    [bullId],
  );
  if (answer === 'missing') throw notFound(id);
  // BullMQ removes nothing that a worker holds: it was retried in the last millisecond.
  if (answer === 'unfinished' || (await queue.bullmq.remove(bullId)) === 0) {
    throw notFinished(id, 'being retried');
  }
}
