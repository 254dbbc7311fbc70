import type { Evidence } from '../evidence/evidence.ts';
import type { Contact } from '../fleet/wiretap.ts';

/** A worker that was killed, or told to stop. */
export interface Departure {
  worker: string;
  /** Unix milliseconds. */
  at: number;
}

/** A job that the departed worker had in hand, and how long it was in nobody's. */
export interface Takeover {
  jobId: string;
  from: string;
  /** Until another worker had it in hand; undefined: none ever did. */
  afterMs: number | undefined;
}

/** @param endedAt when a job had its final status, in Unix milliseconds */
export function takeoversAfter(
  departures: readonly Departure[],
  contacts: readonly Contact[],
  endedAt: (jobId: string) => number,
): Takeover[] {
  const byJob = new Map<string, Contact[]>();
  for (const contact of contacts) {
    const earlier = byJob.get(contact.jobId) ?? [];
    earlier.push(contact);
    byJob.set(contact.jobId, earlier);
  }
  return departures.flatMap(({ worker, at }) =>
    [...byJob].flatMap(([jobId, hands]) => {
      const holder = hands.findLast((contact) => contact.at <= at)?.worker;
      if (holder !== worker || endedAt(jobId) <= at) return [];
      const next = hands.find((contact) => contact.at > at && contact.worker !== worker);
      return [{ jobId, from: worker, afterMs: next === undefined ? undefined : next.at - at }];
    }),
  );
}

export function endsOf({ jobs }: Evidence): (jobId: string) => number {
  const ends = new Map(
    jobs.map(({ history, last }) => [
      history.id,
      last !== undefined && 'finished_at' in last ? Date.parse(last.finished_at) : Number.POSITIVE_INFINITY,
    ]),
  );
  return (jobId) => ends.get(jobId) ?? Number.POSITIVE_INFINITY;
}
