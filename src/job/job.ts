/**
 * Glossary. Each word has this one meaning in code, documents and messages.
 *
 * - **job**: one unit of work, a row on the board. **request**: what the caller sent.
 * - **model**: the name a caller asks for. **upstream**: the server that answers, which may have a name of
 *   its own for the model: the upstream model.
 * - **tenant**: the owner of an API key, and of the jobs enqueued with it.
 * - **run**: a job from its enqueueing, or from a retry by hand, until its final status. **record**: the
 *   stored state of a run, beside BullMQ's job.
 * - **attempt**: one try of a run, counted from 1. **retry**: a further attempt, after a failure or by hand.
 * - **purchase**: a create request that the upstream accepted: what costs money. It is uncertain when the
 *   outcome is unknown and stays unknown.
 * - **fencing token**: the random id of one create request, which tells a late answer from a current one. It
 *   is written into the record before the create is sent, as the purchase mark.
 * - **adopt**: follow a response that already runs at the upstream, instead of buying another.
 * - **release**: give an active job back to the queue, uncharged, because its worker stops.
 * - **fair queue**: the jobs that wait for their turn, ordered by start-time fair queueing over tenants.
 * - **position**: a waiting job's rank in the fair queue; 1 is next.
 * - **dispatcher**: the part of a worker that takes the next jobs from the fair queue and starts them.
 * - **quota**: what all workers together may send to one upstream model: requests, tokens, jobs in flight.
 * - **reservation**: what a job has taken of the quota before it starts. **lease**: how long that holds
 *   unrenewed.
 * - **pause**: nothing of a model or a tenant starts, for a stated reason, until a time or a resume by hand.
 * - **circuit breaker**: a pause of a model without a known end: one job at a time is the probe, and a probe
 *   that passes ends it. Only processes and attempts *stop*.
 * - **heartbeat**: what a process writes into Redis to say that it lives: a worker every two seconds for each
 *   of its models, a producer while it answers calls of `/v1`.
 * - **event log**: what the upstream streamed for a job, kept in Redis. **replay**: the log read from its
 *   beginning.
 * - **outbox**: finished jobs whose webhook is still to be sent, written together with the final status.
 * - **deletion**: a response of a deleted job that is still to be deleted at the upstream.
 * - **idempotency key**: the caller's name for a request; it becomes one job however often it is sent.
 */

/**
 * - `waiting`: enqueued, retried, released or recovered; taken by a worker, or cancelled.
 * - `delayed`: enqueued with a delay, or between two attempts; becomes `waiting` at its time, or is
 *   cancelled.
 * - `active`: held by a worker; completes, fails, is cancelled, goes back to `delayed` for its next attempt,
 *   or back to `waiting` when its worker stops or dies.
 * - `completed`: has a result, and stays so until it is deleted.
 * - `failed`: a terminal failure, or its attempts are exhausted. Only a retry by hand takes it out.
 * - `cancelled`: stopped on purpose. Only a retry by hand takes it out.
 */
export const JOB_STATUSES = ['waiting', 'delayed', 'active', 'completed', 'failed', 'cancelled'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export const FINISHED_STATUSES = ['completed', 'failed', 'cancelled'] as const;
export type FinishedStatus = (typeof FINISHED_STATUSES)[number];

export function isFinished(status: JobStatus): status is FinishedStatus {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** PlanStatus is the status of a task in the seven functions. */
export type PlanStatus = 'pending' | 'running' | 'completed' | 'error' | 'cancelled';

/**
 * STATUS_TABLE gives for each status the words of BullMQ, of the seven functions and of OpenAI's Responses
 * API. A cancelled job is `failed` in BullMQ, which has no such state; the run's record says that it was
 * cancelled.
 */
export const STATUS_TABLE: Record<
  JobStatus,
  { bullmq: readonly string[]; plan: PlanStatus; responses: string }
> = {
  waiting: { bullmq: ['waiting', 'prioritized', 'waiting-children'], plan: 'pending', responses: 'queued' },
  delayed: { bullmq: ['delayed'], plan: 'pending', responses: 'queued' },
  active: { bullmq: ['active'], plan: 'running', responses: 'in_progress' },
  completed: { bullmq: ['completed'], plan: 'completed', responses: 'completed' },
  failed: { bullmq: ['failed'], plan: 'error', responses: 'failed' },
  cancelled: { bullmq: ['failed'], plan: 'cancelled', responses: 'cancelled' },
};

/** isFinishedJob narrows a job's view to its three finished forms. */
export function isFinishedJob<Job extends { status: JobStatus }>(
  job: Job,
): job is Extract<Job, { status: FinishedStatus }> {
  return isFinished(job.status);
}
