import type { JobView } from './job.ts';

/**
 * What happens to a job, as who watches it is told. `number` grows by at least one from event to event, and is the same for everybody: whoever was cut
 * off goes on after the last one that they saw.
 *
 * - `status`: how the job stands; first of all, and whenever that changes.
 * - `delta`: the next piece of the answer. Those of the last attempt add up to the answer.
 * - `reasoning`: the next piece of what the model says of its thinking.
 * - `attempt`: another attempt begins; what earlier ones said no longer counts.
 * - `done`: the job has ended, and this is the last event.
 */
export type JobEvent =
  | { type: 'status'; data: JobView }
  | { type: 'delta' | 'reasoning'; number: number; data: { text: string; attempt: number } }
  | { type: 'attempt'; number: number; data: { attempt: number; reason: string } }
  | { type: 'done'; number: number; data: JobView };
