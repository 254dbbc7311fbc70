import { QueueError } from '../errors/problem.ts';
import { jobIdRefusal } from '../job/fields/option-rules.ts';
import { jobIdOf } from '../job/ids/response-id.ts';
import { isFinishedJob } from '../job/job.ts';
import type { JobReading } from '../model-queue/job-view.ts';
import type { ModelQueue } from '../model-queue/model-queue.ts';

/** FoundJob is a job and the queue that holds it. */
export interface FoundJob {
  queue: ModelQueue;
  /** The job's id inside BullMQ. */
  bullId: string;
  reading: JobReading;
}

/**
 * How long BullMQ may lag behind our record of a job's end, in milliseconds. The worker updates BullMQ right
 * after the record.
 */
const SETTLING_MS = 2000;

/**
 * findJob finds a job by its public id. The ids of our own jobs do not contain the model, so findJob reads
 * the queues of all models at once. The ids of other BullMQ clients' jobs contain the model: `model:7`.
 *
 * @param tenant the caller's tenant: jobs of other tenants are not found. undefined: the caller sees all
 * jobs.
 * @param model the model of the job. Default: the job may be in any.
 */
export async function findJob(
  queues: ReadonlyMap<string, ModelQueue>,
  id: string,
  tenant: string | undefined,
  model?: string,
): Promise<FoundJob | null> {
  const [candidates, bullId] = queuesOf(queues, id, model);
  const readings = await Promise.all(candidates.map((queue) => queue.read(bullId)));
  for (const [i, queue] of candidates.entries()) {
    const reading = readings[i];
    const hidden = tenant !== undefined && reading?.view.tenant !== tenant;
    if (reading && !hidden) return { queue, bullId, reading };
  }
  return null;
}

/** queuesOf returns the queues that may hold the job with this public id, and the job's id inside BullMQ. */
export function queuesOf(
  queues: ReadonlyMap<string, ModelQueue>,
  id: string,
  knownModel?: string,
): [candidates: ModelQueue[], bullId: string] {
  const [model = knownModel, bullId] = splitId(id);
  const candidates = [...queues.values()].filter((queue) => model === undefined || queue.model === model);
  return [candidates, bullId];
}

/**
 * requireJob finds a job like findJob.
 *
 * @throws {QueueError} `job_not_found`
 */
export async function requireJob(
  queues: ReadonlyMap<string, ModelQueue>,
  id: string,
  tenant: string | undefined,
  model?: string,
): Promise<FoundJob> {
  const refusal = jobIdRefusal(id);
  if (refusal !== undefined) throw new QueueError('job_not_found', refusal);
  const located = await findJob(queues, id, tenant, model);
  if (located === null) throw notFound(id);
  return located;
}

/**
 * readAgain reads a found job once more. A job never changes its queue or its tenant.
 *
 * @throws {QueueError} `job_not_found`
 */
export async function readAgain({ queue, bullId, reading }: FoundJob): Promise<FoundJob> {
  const now = await queue.read(bullId);
  if (now === null) throw notFound(reading.view.id);
  return { queue, bullId, reading: now };
}

/**
 * requireSettled finds a finished job, and waits up to 2 s until BullMQ has it as finished too.
 *
 * @throws {QueueError} `job_not_found`, `job_not_finished`
 */
export async function requireSettled(
  queues: ReadonlyMap<string, ModelQueue>,
  id: string,
  tenant: string | undefined,
): Promise<FoundJob> {
  const deadline = performance.now() + SETTLING_MS;
  for (;;) {
    const located = await requireJob(queues, id, tenant);
    const { view, settled } = located.reading;
    if (settled) return located;
    if (!isFinishedJob(view)) throw notFinished(id, view.status);
    if (performance.now() > deadline)
      throw notFinished(id, `${view.status}, but BullMQ does not know it yet`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function notFound(id: string): QueueError {
  return new QueueError(
    'job_not_found',
    `There is no job ${id.slice(0, 100)}: it never existed, or its retention is over`,
  );
}

export function notFinished(id: string, status: string): QueueError {
  return new QueueError(
    'job_not_finished',
    `Job ${id} is ${status}: only a finished job can be retried or deleted`,
  );
}

/**
 * splitId returns the id inside BullMQ of the job that an id stands for, which may be that of its response.
 * It separates the model from the id of another BullMQ client's job: `o3:7`. Our own ids have no model.
 */
export function splitId(id: string): [model: string | undefined, bullId: string] {
  const jobId = jobIdOf(id) ?? id;
  const match = /^([^:]+):(\d+)$/.exec(jobId);
  return match === null ? [undefined, jobId] : [match[1], match[2] ?? ''];
}
