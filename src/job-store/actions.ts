import type { Models } from '../config/file.ts';
import { QueueError } from '../errors/problem.ts';
import type { ActionKind } from '../job/action.ts';
import { wholeData } from '../job/fields/compression.ts';
import { upstreamHeadersIn } from '../job/fields/upstream-headers.ts';
import type { JobStatus } from '../job/job.ts';
import { type ForgetAnswer, forgetJobScript, type RetryAnswer, retryJobScript } from '../lua/finished-job.ts';
import { type ActionRefusal, type CancelAnswer, cancelJobScript } from '../lua/job.ts';
import type { QueueAccess } from '../model-queue/queue-access.ts';
import type { RedisClient } from '../redis/connection.ts';
import { jobScriptKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { keepSeconds } from '../run/record.ts';
import { type FoundJob, notFinished, notFound } from './find.ts';
import { assertMayWait } from './tenant-limits.ts';

/** BullMQ's failure reason for a cancelled job, which the board shows. */
const CANCELLED_REASON = 'cancelled: on request';

/** Within is how a change of a job belongs to a long action. */
export interface Within {
  /** The id of the action. */
  readonly action: string;
  /** The tenant that has started it; null: the instance has no keys. */
  readonly by: string | null;
  /** The hash with the action's place in the model of the job (`ModelKeys.actionPart`). */
  readonly part: string;
  /** The token of this process's lease. */
  readonly token: string;
  /** The score of the job in its index, in milliseconds. */
  readonly createdAt: number;
  /** When the action was started, in Unix milliseconds: runs that end later are not touched. */
  readonly startedAt: number;
  /** The status in which alone a job is cancelled; undefined: any. */
  readonly onlyStatus: JobStatus | undefined;
}

/** Actors are what changes of jobs need of the queue. */
export type Actors = Pick<QueueAccess, 'redis' | 'queues' | 'models' | 'onCancelled'>;
type Cancellers = Pick<QueueAccess, 'redis' | 'onCancelled'> & { models: Pick<Models, 'retention'> };

/**
 * CancelOutcome says what a cancel did. `cancelled`: the job is final now. `already`: the job was cancelled
 * before. `cancelling`: a worker holds the job and was sent a message.
 */
export type CancelOutcome = Exclude<CancelAnswer, 'missing' | 'finished' | 'changed'>;

/**
 * cancelJob cancels a job in any unfinished status.
 *
 * @param by the tenant that cancels it, for the job's record; null: the instance has no keys.
 * @throws {QueueError} `job_not_found`, `job_finished`
 */
export async function cancelJob(
  actors: Cancellers,
  job: FoundJob,
  by: string | null = null,
): Promise<CancelOutcome> {
  const answer = await runCancel(actors, job, by);
  const { id } = job.reading.view;
  if (answer === 'missing') throw notFound(id);
  if (answer === 'cancelled' || answer === 'already' || answer === 'cancelling') return answer;
  throw new QueueError('job_finished', `Job ${id} is finished: there is nothing left to cancel`);
}

/**
 * retryJob begins a new run of a failed or cancelled job, unless its tenant has too many jobs that have not
 * ended. Of simultaneous retries only one begins a run.
 *
 * @param by the tenant that retries it, for the job's record; null: the instance has no keys.
 * @throws {QueueError} `job_not_found`, `job_finished`, `job_not_finished`, `too_many_waiting`
 */
export async function retryJob(actors: Actors, job: FoundJob, by: string | null): Promise<void> {
  const { id, status } = job.reading.view;
  if (status === 'completed') throw alreadyCompleted(id);
  const answer = await runRetry(actors, job, by);
  if (answer === 'missing') throw notFound(id);
  if (answer === 'completed') throw alreadyCompleted(id);
  if (answer !== 'retried') throw notFinished(id, 'being retried already');
}

/**
 * removeJob deletes a finished job with its record and its result. A worker then tries to delete the job's
 * responses at the upstream.
 *
 * @throws {QueueError} `job_not_found`, `job_not_finished`
 */
export async function removeJob(actors: Pick<Actors, 'redis'>, job: FoundJob): Promise<void> {
  const { id } = job.reading.view;
  const answer = await runForget(actors, job);
  if (answer === 'missing') throw notFound(id);
  if (answer !== 'deleted') throw notFinished(id, 'being retried');
}

/** TouchAnswer is what one step of an action did to one job. */
export type TouchAnswer = CancelAnswer | RetryAnswer | ForgetAnswer | ActionRefusal;

/**
 * touchJob changes one job for a long action, once.
 *
 * @throws {QueueError} `too_many_waiting` for a retry; the job is then not counted.
 */
export function touchJob(
  kind: ActionKind,
  actors: Actors,
  job: FoundJob,
  within: Within,
): Promise<TouchAnswer> {
  switch (kind) {
    case 'cancel':
      return runCancel(actors, job, within.by, within);
    case 'retry':
      return runRetry(actors, job, within.by, within);
    case 'delete':
      return runForget(actors, job, within);
    default:
      return kind satisfies never;
  }
}

/** Returns what the scripts need to know of an action; without one, that the change belongs to none. */
function ofAction({ queue, bullId }: FoundJob, within: Within | undefined) {
  return {
    part: within?.part ?? queue.keys.actionPart(''),
    args: { id: bullId, actionToken: within?.token ?? '', actionCreated: within?.createdAt ?? '' },
    endedBefore: within?.startedAt ?? '',
  };
}

async function runCancel(
  { redis, models, onCancelled }: Cancellers,
  job: FoundJob,
  by: string | null,
  within?: Within,
): Promise<CancelAnswer> {
  const { queue, bullId, reading } = job;
  const { keys } = queue;
  const tenant = reading.view.tenant ?? '';
  const { part, args } = ofAction(job, within);
  const answer = await cancelJobScript.run(redis, {
    keys: { ...jobScriptKeys(keys, bullId, tenant), part },
    args: {
      ...args,
      ...{ actor: by ?? '', actionId: within?.action ?? '' },
      tenant,
      reason: CANCELLED_REASON,
      ttlSeconds: keepSeconds(models.retention).failed,
      now: serverTime(redis),
      cancelChannel: keys.cancelChannel,
      finishedChannel: keys.finishedChannel,
      onlyState: within?.onlyStatus ?? '',
    },
  });
  if (answer === 'cancelled') onCancelled(queue.model);
  return answer as CancelAnswer;
}

async function runRetry(
  { redis, queues, models }: Actors,
  job: FoundJob,
  by: string | null,
  within?: Within,
): Promise<RetryAnswer> {
  const { queue, bullId, reading } = job;
  const tenant = reading.view.tenant ?? '';
  await assertMayWait(redis, queues.values(), { models, tenant });
  const { part, args, endedBefore } = ofAction(job, within);
  const answer = await retryJobScript.run(redis, {
    keys: { ...jobScriptKeys(queue.keys, bullId, tenant), part },
    args: {
      ...args,
      ...{ actor: by ?? '', actionId: within?.action ?? '', now: serverTime(redis) },
      tenant,
      endedBefore,
    },
  });
  return answer as RetryAnswer;
}

async function runForget(
  { redis }: Pick<Actors, 'redis'>,
  job: FoundJob,
  within?: Within,
): Promise<ForgetAnswer> {
  const { queue, bullId, reading } = job;
  const tenant = reading.view.tenant ?? '';
  const headers = await deletionHeaders(redis, queue.keys.job(bullId));
  const { part, args, endedBefore } = ofAction(job, within);
  const answer = (await forgetJobScript.run(redis, {
    keys: { ...jobScriptKeys(queue.keys, bullId, tenant), part },
    args: { ...args, tenant, endedBefore, now: serverTime(redis), deletionHeaders: headers },
  })) as ForgetAnswer;
  if (answer !== 'bound') return answer;
  // BullMQ does not remove a job that a worker holds: this job was retried a moment ago. The children of a
  // flow's parent are jobs of their own, and stay.
  return (await queue.bullmq.remove(bullId, { removeChildren: false })) === 0 ? 'unfinished' : 'deleted';
}

/**
 * Returns the headers with which the responses of a job are deleted, as JSON; '': the upstream stores none.
 */
async function deletionHeaders(redis: RedisClient, jobKey: string): Promise<string> {
  const data = await wholeData(JSON.parse((await redis.hget(jobKey, 'data')) ?? 'null'));
  return isStored(data) ? JSON.stringify(upstreamHeadersIn(data)) : '';
}

/** Returns whether the upstream stores the responses of a job. The caller may have set `store: false`. */
function isStored(data: unknown): boolean {
  if (typeof data !== 'object' || data === null || !('request' in data)) return true;
  const { request } = data;
  return typeof request !== 'object' || request === null || !('store' in request) || request.store !== false;
}

function alreadyCompleted(id: string): QueueError {
  return new QueueError(
    'job_finished',
    `Job ${id} is completed: only a failed or cancelled job can be retried`,
  );
}
