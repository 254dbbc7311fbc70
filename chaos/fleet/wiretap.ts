/** A worker came to have a job in hand. */
export interface Contact {
  /** Unix milliseconds. */
  at: number;
  worker: string;
  jobId: string;
}

/**
 * Whose hands a job is in, as the wire to Redis tells it, without a word from the workers themselves: Redis gives it to a worker, which
 * from then on names its lock whenever it writes anything of it or renews that lock.
 */
export interface Wiretap {
  /** Oldest first; one for each time that a job came into other hands. */
  readonly contacts: readonly Contact[];
  /** Listeners for what is said between this worker and Redis. */
  on(worker: string): { onSent: (piece: Buffer) => void; onReceived: (piece: Buffer) => void };
}

const LOCK = /:(job_[0-9a-f]+):lock/g;
/** The end of BullMQ's answer to whoever asks for a job: its id, and a number. Lists of ids have none after them. */
const GIVEN = /\r\n(job_[0-9a-f]+)\r\n:/g;

export function createWiretap(): Wiretap {
  const contacts: Contact[] = [];
  const holders = new Map<string, string>();
  const listener = (worker: string, pattern: RegExp) => (piece: Buffer) => {
    const at = Date.now();
    for (const [, jobId = ''] of piece.toString('latin1').matchAll(pattern)) {
      if (holders.get(jobId) === worker) continue;
      holders.set(jobId, worker);
      contacts.push({ at, worker, jobId });
    }
  };
  return {
    contacts,
    on: (worker) => ({ onSent: listener(worker, LOCK), onReceived: listener(worker, GIVEN) }),
  };
}
