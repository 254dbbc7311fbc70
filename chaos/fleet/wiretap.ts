/** Pickup is the moment at which a worker got a job. */
export interface Pickup {
  /** Unix milliseconds. */
  at: number;
  worker: string;
  jobId: string;
}

/**
 * Wiretap finds out which worker holds a job, without asking the workers. It reads the traffic to Redis:
 * Redis gives the job to a worker, and the worker then names the job's lock whenever it writes about the job
 * or renews the lock.
 */
export interface Wiretap {
  /** The pickups, oldest first: one for each time that another worker got a job. */
  readonly pickups: readonly Pickup[];
  /** Listeners for the traffic between this worker and Redis. */
  on(worker: string): { onSent: (piece: Buffer) => void; onReceived: (piece: Buffer) => void };
}

const LOCK = /:(job_[0-9a-f]+):lock/g;
/**
 * Matches the end of BullMQ's answer to a worker that asks for a job: the job's id and a number. A list of
 * ids has no number after it.
 */
const GIVEN = /\r\n(job_[0-9a-f]+)\r\n:/g;

export function createWiretap(): Wiretap {
  const pickups: Pickup[] = [];
  const holders = new Map<string, string>();
  const listener = (worker: string, pattern: RegExp) => (piece: Buffer) => {
    const at = Date.now();
    for (const [, jobId = ''] of piece.toString('latin1').matchAll(pattern)) {
      if (holders.get(jobId) === worker) continue;
      holders.set(jobId, worker);
      pickups.push({ at, worker, jobId });
    }
  };
  return {
    pickups,
    on: (worker) => ({ onSent: listener(worker, LOCK), onReceived: listener(worker, GIVEN) }),
  };
}
