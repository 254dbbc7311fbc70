import type { JobRequest } from '../../src/job/request.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { pause } from '../fleet/timing.ts';

/** A line that never runs dry. */
export interface BullmqSets {
  /** Enqueued, and not yet taken by the upstream: the least there were at any look, once it was full. */
  readonly least: number;
  readonly enqueued: number;
  /** Enqueues until the signal aborts. */
  keepFull(until: AbortSignal, signal: AbortSignal): Promise<void>;
}

export interface BacklogOptions {
  fleet: Fleet;
  /** In turns, a bulk each. */
  tenants: readonly string[];
  /** As many are waiting, more or less. */
  size: number;
  next: () => JobRequest;
  /** How many creates the upstream has taken so far. */
  accepted: () => Promise<number>;
}

const BULK = 100;
const LOOK_EVERY_MS = 500;

export function createBullmqSets({ fleet, tenants, size, next, accepted }: BacklogOptions): BullmqSets {
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
          await pause(LOOK_EVERY_MS, signal);
        }
      }
    },
  };
}
