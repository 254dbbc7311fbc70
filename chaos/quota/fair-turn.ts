/** One start of a tenant that came while others had been waiting. */
export interface Start {
  /** In the order in which creates came to the upstream, from 0. */
  place: number;
  /** Which one of the tenant's own it was, from 0. */
  turn: number;
  /** Starts before the tenant's jobs were sent to the queue, and when that was answered. */
  before: number;
  after: number;
  /** Where the others together weigh 1. */
  weight: number;
}

/**
 * How many starts a start is away from its fair turn. The tenant's share of all starts from when it came is `weight / (weight + 1)`, so that its starts are due one after each `1 / share`: too early is before its
 * slot begins, too late after it has ended.
 */
export function startsOff({ place, turn, before, after, weight }: Start): number {
  const slot = (weight + 1) / weight;
  return Math.max(0, before + turn * slot - place, place - (after + (turn + 1) * slot));
}
