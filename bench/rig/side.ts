import type { Child } from '../../chaos/fleet/child.ts';

/** SIDES are the two programs that are compared. */
export const SIDES = ['bare', 'ours'] as const;
export type SideName = (typeof SIDES)[number];

/** Side is one of the two programs, with its processes. */
export interface Side {
  readonly name: SideName;
  /** The URL of the producer. */
  readonly url: string;
  readonly producer: Child;
  /** The living workers, oldest first. */
  readonly workers: readonly Child[];
  /** The names of BullMQ's sorted sets of finished jobs. */
  readonly finished: { readonly completed: string; readonly failed: string };
  /** Returns the name of BullMQ's hash of a job. */
  jobKey(id: string): string;
  addWorker(): Promise<Child>;
}
