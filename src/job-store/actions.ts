import { QueueError } from '../errors/problem.ts';
import { upstreamHeadersIn } from '../job/upstream-headers.ts';
import {
  type CancelAnswer,
  cancelJobScript,
  type ForgetAnswer,
  forgetJobScript,
  reopenJobScript,
} from '../lua/job.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import type { RedisClient } from '../redis/connection.ts';
import { jobScriptKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { type FoundJob, notFinished, notFound } from './find.ts';
import { assertMayWait } from './tenant-limits.ts';

/** BullMQ's failure reason for a cancelled job, which the board shows. */
const CANCELLED_REASON = 'cancelled: on request';

/**
 * CancelOutcome says what a cancel did. `cancelled`: the job is final now. `already`: the job was cancelled
 * before. `cancelling`: a worker holds the job and was sent a message.
 */
export type CancelOutcome = Exclude<CancelAnswer, 'missing' | 'finished'>;

/**
 * cancelJob cancels a job in any unfinished status.
 *
 * @param keepS how long the record of a cancelled job is kept, in seconds.
 * @throws {QueueError} `job_not_found`, `job_finished`
 */
export async function cancelJob(
  redis: RedisClient,
  { queue, bullId, reading }: FoundJob,
  keepS: number,
): Promise<CancelOutcome> {
  const { keys } = queue;
  const tenant = reading.view.tenant ?? '';
  const answer = (await cancelJobScript.run(redis, {
    keys: jobScriptKeys(keys, bullId, tenant),
    args: {
      id: bullId,
      tenant,
      reason: CANCELLED_REASON,
      ttlSeconds: keepS,
      now: serverTime(redis),
      cancelChannel: keys.cancelChannel,
      finishedChannel: keys.finishedChannel,
    },
  })) as CancelAnswer;
  switch (answer) {
    case 'missing':
      throw notFound(reading.view.id);
    case 'finished':
      throw new QueueError(
        'job_finished',
        `Job ${reading.view.id} is finished: there is nothing left to cancel`,
      );
    default:
      return answer;
  }
}

/**
 * retryJob begins a new run of a failed or cancelled job, unless its tenant has too many jobs that have not
 * ended. It changes BullMQ's job first and then clears our
 * record; the script `job.reopen` describes the state after a crash in between. Of two simultaneous retries
 * BullMQ accepts only one.
 *
 * @throws {QueueError} `job_not_found`, `job_finished`, `job_not_finished`, `too_many_waiting`
 */
export async function retryJob(
  { redis, queues, models }: Pick<QueueAccess, 'redis' | 'queues' | 'models'>,
  { queue, bullId, reading }: FoundJob,
): Promise<void> {
  const { id, status } = reading.view;
  const tenant = reading.view.tenant ?? '';
  if (status === 'completed') {
    throw new QueueError(
      'job_finished',
      `Job ${id} is completed: only a failed or cancelled job can be retried`,
    );
  }
  await assertMayWait(redis, queues.values(), { models, tenant });
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
  await reopenJobScript.run(redis, {
    keys: jobScriptKeys(queue.keys, bullId, tenant),
    args: { id: bullId, tenant },
  });
}

/**
 * removeJob deletes a finished job with its record and its result. A worker then tries to delete the job's
 * responses at the upstream.
 *
 * @throws {QueueError} `job_not_found`, `job_not_finished`
 */
export async function removeJob(redis: RedisClient, { queue, bullId, reading }: FoundJob): Promise<void> {
  const { id, tenant } = reading.view;
  const data: unknown = JSON.parse((await redis.hget(queue.keys.job(bullId), 'data')) ?? 'null');
  const answer = (await forgetJobScript.run(redis, {
    keys: jobScriptKeys(queue.keys, bullId, tenant ?? ''),
    args: {
      id: bullId,
      tenant: tenant ?? '',
      now: serverTime(redis),
      deletionHeaders: isStored(data) ? JSON.stringify(upstreamHeadersIn(data)) : '',
    },
  })) as ForgetAnswer;
  if (answer === 'missing') throw notFound(id);
  // BullMQ does not remove a job that a worker holds: this job was retried a moment ago.
  if (answer === 'unfinished' || (await queue.bullmq.remove(bullId)) === 0) {
    throw notFinished(id, 'being retried');
  }
}

/** Returns whether the upstream stores the responses of a job. The caller may have set `store: false`. */
function isStored(data: unknown): boolean {
  if (typeof data !== 'object' || data === null || !('request' in data)) return true;
  const { request } = data;
  return typeof request !== 'object' || request === null || !('store' in request) || request.store !== false;
}
