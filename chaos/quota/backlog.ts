import { sleep } from '../../src/async/sleep.ts';
import type { JobRequest } from '../../src/job/request.ts';
import type { Fleet } from '../fleet/fleet.ts';

/** Backlog keeps jobs waiting in the queue, so that it never becomes empty. */
export interface Backlog {
  /**
   * The least number of jobs that were enqueued but not yet sent to the upstream, since the backlog was first
   * full.
   */
  readonly least: number;
  readonly enqueued: number;
  /** Enqueues until the signal aborts. */
  keepFull(until: AbortSignal, signal: AbortSignal): Promise<void>;
}

/** BacklogOptions say who enqueues what, and how much. */
export interface BacklogOptions {
  fleet: Fleet;
  /** The tenants that enqueue in turns, a bulk each. */
  tenants: readonly string[];
  /** About how many jobs wait. */
  size: number;
  next: () => JobRequest;
  /** How many creates the upstream has accepted so far. */
  accepted: () => Promise<number>;
}

const BULK = 100;
const LOOK_EVERY_MS = 500;

export function createBacklog({ fleet, tenants, size, next, accepted }: BacklogOptions): Backlog {
  let enqueued = 0;
  let least = Number.POSITIVE_INFINITY;
  const enqueue = async (signal: AbortSignal): Promise<void> => {
    const tenant = tenants[(enqueued / BULK) % tenants.length] ?? '';
    const outcomes = await fleet.clientOf(tenant).enqueueBulk(Array.from({ length: BULK }, next), { signal });
    for (const outcome of outcomes) if (!outcome.ok) throw outcome.error;
    enqueued += BULK;
  };
  return {
    get least() {
      return least;
    },
    get enqueued() {
      return enqueued;
    },
    async keepFull(until, signal) {
      let wasFull = false;
      while (!until.aborted) {
        const waiting = enqueued - (await accepted());
        if (wasFull) least = Math.min(least, waiting);
        if (waiting < size) await enqueue(signal);
        else {
          wasFull = true;
          await sleep(LOOK_EVERY_MS, signal);
        }
      }
    },
  };
}
