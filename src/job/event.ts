import type { JobView } from './view.ts';

/**
 * JobEvent is one event of a job, as a watcher gets it. `number` is the same for every watcher and grows by
 * at least one from event to event. A watcher whose connection broke continues after the last number that it
 * got.
 *
 * - `status`: the job's status. It comes first, and again whenever the status, the position or the reason for
 *   waiting changes.
 * - `delta`: the next piece of the answer. The deltas of the last attempt add up to the answer.
 * - `reasoning`: the next piece of the model's summary of its reasoning.
 * - `attempt`: another attempt begins; the text of earlier attempts no longer counts.
 * - `done`: the job has ended, and this is the last event.
 */
export type JobEvent =
  | {
      /** Which kind of event it is. */
      type: 'status';
      /** The job as it stands now. */
      data: JobView;
    }
  | {
      /** Which kind of event it is. */
      type: 'delta' | 'reasoning';
      /** The number of the event, from which a watcher continues. */
      number: number;
      /** The next piece of a text. */
      data: {
        /** The text to append. */
        text: string;
        /** The attempt that the text belongs to, counted from 1. */
        attempt: number;
      };
    }
  | {
      /** Which kind of event it is. */
      type: 'attempt';
      /** The number of the event, from which a watcher continues. */
      number: number;
      /** The attempt that begins. */
      data: {
        /** The number of the attempt, counted from 1. */
        attempt: number;
        /** Why the attempt before it did not count. */
        reason: string;
      };
    }
  | {
      /** Which kind of event it is. */
      type: 'done';
      /** The number of the event, from which a watcher continues. */
      number: number;
      /** The job at its end. */
      data: JobView;
    };

/** EventsToken opens the events of one job for a browser's EventSource, which can send no header. */
export interface EventsToken {
  /** It is part of `events_url`; null: the instance needs no keys. */
  readonly token: string | null;
  /** When the token stops opening streams, in ISO 8601. An open stream goes on. */
  readonly expires_at: string | null;
  /** The address for `new EventSource(…)`. */
  readonly events_url: string;
}

/** standingOf returns the part of a job's view whose change causes a `status` event. */
export function standingOf(job: JobView): string {
  if (job.status !== 'waiting' || job.position === null) return job.status;
  return `${job.status} at ${job.position} for ${job.waiting_for}`;
}
