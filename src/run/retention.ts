import type { Retention } from '../config/file.ts';

const HOUR_S = 3600;
/** Our records outlive BullMQ's jobs by this much, so that a listed job never lacks its record; the worker's sweep takes both. */
const SLACK_S = 24 * HOUR_S;

/** The time to live of a finished record, in seconds: a backstop for when no worker is there to sweep. */
export function keepSeconds(retention: Retention): { completed: number; failed: number } {
  return {
    completed: Math.ceil(retention.completedHours * HOUR_S) + SLACK_S,
    failed: Math.ceil(retention.failedHours * HOUR_S) + SLACK_S,
  };
}
