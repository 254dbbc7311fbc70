import type { JobView } from './view.ts';

/**
 * JobEvent is one thing that happens to a job, as a watcher sees it. `number` is the same for every watcher
 * and grows by at least one from event to event; a watcher that was cut off goes on after the last number
 * that it saw.
 *
 * - `status`: the job's status. It comes first, and again whenever the status, the position or the reason of
 *   waiting changes.
 * - `delta`: the next piece of the answer. The deltas of the last attempt add up to the answer.
 * - `reasoning`: the next piece of the model's summary of its reasoning.
 * - `attempt`: another attempt begins; what earlier attempts said no longer counts.
 * - `done`: the job has ended, and this is the last event.
 */
export type JobEvent =
  | { type: 'status'; data: JobView }
  | { type: 'delta' | 'reasoning'; number: number; data: { text: string; attempt: number } }
  | { type: 'attempt'; number: number; data: { attempt: number; reason: string } }
  | { type: 'done'; number: number; data: JobView };

/** standingOf is the part of a job's view whose change is worth a `status` event. */
export function standingOf(job: JobView): string {
  if (job.status !== 'waiting' || job.position === null) return job.status;
  return `${job.status} at ${job.position} for ${job.waiting_for}`;
}
