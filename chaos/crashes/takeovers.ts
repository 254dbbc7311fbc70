import type { Evidence } from '../evidence/evidence.ts';
import type { Pickup } from '../fleet/wiretap.ts';

/** Departure is the moment at which a worker was killed or told to stop. */
export interface Departure {
  worker: string;
  /** Unix milliseconds. */
  at: number;
}

/** Takeover is a job that the departed worker held, and how long no worker held it. */
export interface Takeover {
  jobId: string;
  from: string;
  /** Milliseconds until another worker had the job; undefined: no other worker ever had it. */
  afterMs: number | undefined;
}

/** @param endedAt when a job got its final status, in Unix milliseconds. */
export function takeoversAfter(
  departures: readonly Departure[],
  pickups: readonly Pickup[],
  endedAt: (jobId: string) => number,
): Takeover[] {
  const byJob = new Map<string, Pickup[]>();
  for (const pickup of pickups) {
    const earlier = byJob.get(pickup.jobId) ?? [];
    earlier.push(pickup);
    byJob.set(pickup.jobId, earlier);
  }
  return departures.flatMap(({ worker, at }) =>
    [...byJob].flatMap(([jobId, taken]) => {
      const holder = taken.findLast((pickup) => pickup.at <= at)?.worker;
      if (holder !== worker || endedAt(jobId) <= at) return [];
      const next = taken.find((pickup) => pickup.at > at && pickup.worker !== worker);
      return [{ jobId, from: worker, afterMs: next === undefined ? undefined : next.at - at }];
    }),
  );
}

/** endsOf finds when each job got its final status, in Unix milliseconds; infinite: never. */
export function endsOf({ jobs }: Evidence): (jobId: string) => number {
  const ends = new Map(
    jobs.map(({ history, last }) => [
      history.id,
      last !== undefined && 'finished_at' in last ? Date.parse(last.finished_at) : Number.POSITIVE_INFINITY,
    ]),
  );
  return (jobId) => ends.get(jobId) ?? Number.POSITIVE_INFINITY;
}
