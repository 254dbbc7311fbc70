import { decodeQueueStatus, type QueueStatus } from './queue-status.ts';

/** Where a job stands in its model's line. */
export interface Position {
  /** How many start before it, as things are. */
  before: number;
  /** Those of its own tenant among them. */
  ownBefore: number;
  /** Why its tenant's jobs have to wait while others go on; undefined: they do not. */
  stop: { reason: string; until: number } | undefined;
  /** undefined: no dispatcher runs. */
  status: QueueStatus | undefined;
}

export interface Waiting {
  waiting_for: string;
  position: number | null;
  eta_ms: number | null;
  eta_basis: string | null;
}

/** As the script `read` returns it. */
export function positionFrom(
  raw: readonly [number, number, string, string, ...string[]] | null,
): Position | undefined {
  if (raw === null) return undefined;
  const [before, ownBefore, reason, until, ...flat] = raw;
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? '';
  return {
    before,
    ownBefore,
    stop: reason === '' ? undefined : { reason, until: Number(until) },
    status: decodeQueueStatus(fields),
  };
}

/** slotsTaken is the reason for the pause of a tenant that has as many jobs in flight as it may. */
export function slotsTaken(tenant: string, maxInFlight: number): string {
  return `tenant ${tenant} is at its limit of ${maxInFlight} ${maxInFlight === 1 ? 'job' : 'jobs'} in flight`;
}

/** What a job that is not in the line waits for. */
export function waitingOutside(paused: boolean): Waiting {
  return {
    waiting_for: paused ? 'the queue to be resumed' : 'a free worker',
    position: null,
    eta_ms: null,
    eta_basis: null,
  };
}

/** Whose job it is, and how many of it may run at once; undefined: any number. */
export interface PlaceOwner {
  tenant: string;
  maxInFlight: number | undefined;
}

export function waitingIn(place: Position, owner: PlaceOwner, paused: boolean, now: number): Waiting {
  const { before, stop, status } = place;
  const position = before + 1;
  if (paused) return { ...waitingOutside(true), position };
  const turn = before === 0 ? 'its start' : `its turn: ${before} before it`;
  if (status === undefined) return { ...waitingOutside(false), position };
  return {
    waiting_for: stop?.reason ?? (status.reason || turn),
    position,
    ...etaOf(place, status, owner, now),
  };
}

type Eta = Pick<Waiting, 'eta_ms' | 'eta_basis'>;

/** Until its answer: its turn in the line, or among its tenant's own where that takes longer, and as long as such answers take. */
function etaOf(
  { before, ownBefore, stop }: Position,
  { startsPerSecond, basis, durationMs, notBefore }: QueueStatus,
  { tenant, maxInFlight }: PlaceOwner,
  now: number,
): Eta {
  const isFull = maxInFlight !== undefined && stop?.reason === slotsTaken(tenant, maxInFlight);
  if (stop !== undefined && !isFull) return unknownEta('when its tenant may go on is not known');
  if (durationMs === undefined) return unknownEta('no answer of this model has been seen yet');
  if (startsPerSecond === undefined || startsPerSecond <= 0) {
    return unknownEta('how fast the line moves is not known yet');
  }
  const answer = `then ${round(durationMs / 1000)} s for the answer`;
  const standsMs = Math.max(0, notBefore - now);
  const turnMs = standsMs + (before / startsPerSecond) * 1000;
  const ownMs = maxInFlight === undefined ? 0 : ((ownBefore + (isFull ? 1 : 0)) * durationMs) / maxInFlight;
  if (ownMs > turnMs) {
    return {
      eta_ms: Math.round(ownMs + durationMs),
      eta_basis: `${ownBefore} of ${tenant} before it, of which ${maxInFlight} run at once, ${answer}`,
    };
  }
  return {
    eta_ms: Math.round(turnMs + durationMs),
    eta_basis: `${before} before it at ${round(startsPerSecond)} starts a second (${basis}), ${answer}`,
  };
}

function unknownEta(why: string): Eta {
  return { eta_ms: null, eta_basis: why };
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
