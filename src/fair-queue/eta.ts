import { decodeQueueStatus, type QueueStatus } from './queue-status.ts';

/**
 * Position is a job's place in the fair queue of its model, with what is needed to estimate when it is
 * answered.
 */
export interface Position {
  /** Jobs that start before this one, if nothing changes. */
  before: number;
  /** Those of its own tenant among them. */
  ownBefore: number;
  /** The pause of its tenant, whose jobs wait while others start; undefined: the tenant is not paused. */
  pause: { reason: TenantPauseReason; until: number } | undefined;
  /** undefined: no dispatcher runs. */
  status: QueueStatus | undefined;
}

/**
 * SLOTS_TAKEN is the reason for the pause of a tenant that has as many jobs in flight as it may. It is the
 * one reason that the estimate looks at.
 */
export const SLOTS_TAKEN = 'slots_taken';

/** TenantPauseReason is why a tenant is paused: SLOTS_TAKEN, or a sentence for people. */
export type TenantPauseReason = typeof SLOTS_TAKEN | (string & {});

/** Waiting is the part of a waiting job's view that says why it waits, and how long its answer takes. */
export interface Waiting {
  waiting_for: string;
  position: number | null;
  eta_ms: number | null;
  eta_basis: string | null;
}

/** positionFrom decodes the position in the reply of the script `job.read`. */
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
    pause: reason === '' ? undefined : { reason, until: Number(until) },
    status: decodeQueueStatus(fields),
  };
}

/** Hindrance is why no job of a model starts, wherever it stands. */
export interface Hindrance {
  /** The whole queue is paused by hand. */
  paused: boolean;
  /** No worker that takes the model's jobs has a heartbeat. */
  noWorker: boolean;
}

export const NO_HINDRANCE: Hindrance = { paused: false, noWorker: false };

/** waitingOutside says what a job waits for that is not in the fair queue. */
export function waitingOutside({ paused, noWorker }: Hindrance): Waiting {
  const worker = noWorker ? 'a worker: none is running' : 'a free worker';
  return {
    waiting_for: paused ? 'the queue to be resumed' : worker,
    position: null,
    eta_ms: null,
    eta_basis: null,
  };
}

/**
 * PositionOwner is the tenant of a queued job, and how many jobs it may have in flight; undefined: any
 * number.
 */
export interface PositionOwner {
  tenant: string;
  maxInFlight: number | undefined;
}

/**
 * waitingIn says what a job in the fair queue waits for, and when its answer is expected.
 *
 * @param now in Unix milliseconds.
 */
export function waitingIn(place: Position, owner: PositionOwner, hindrance: Hindrance, now: number): Waiting {
  const { before, pause, status } = place;
  const position = before + 1;
  if (hindrance.paused || hindrance.noWorker || status === undefined)
    return { ...waitingOutside(hindrance), position };
  const turn = before === 0 ? 'its start' : `its turn: ${jobs(before)} before it`;
  return {
    waiting_for: pause === undefined ? status.reason || turn : pauseSentence(pause.reason, owner),
    position,
    ...etaOf(place, status, owner, now),
  };
}

/** pauseSentence says why a tenant is paused. */
export function pauseSentence(reason: TenantPauseReason, { tenant, maxInFlight }: PositionOwner): string {
  if (reason !== SLOTS_TAKEN) return reason;
  return `tenant ${tenant} is at its limit of ${maxInFlight === undefined ? 'jobs' : jobs(maxInFlight)} in flight`;
}

type Eta = Pick<Waiting, 'eta_ms' | 'eta_basis'>;

/**
 * The time until the answer is the time until the job's turn plus the mean duration of an answer. The time
 * until the turn follows from the speed of the queue, or from the tenant's limit of jobs in flight if that
 * takes longer.
 */
function etaOf(
  { before, ownBefore, pause }: Position,
  { startsPerSecond, basis, durationMs, notBefore }: QueueStatus,
  { tenant, maxInFlight }: PositionOwner,
  now: number,
): Eta {
  const isFull = maxInFlight !== undefined && pause?.reason === SLOTS_TAKEN;
  if (pause !== undefined && !isFull)
    return unknownEta('it is not known when its tenant may start jobs again');
  if (durationMs === undefined) return unknownEta('this model has not answered a job yet');
  if (startsPerSecond === undefined || startsPerSecond <= 0) {
    return unknownEta('the speed of the queue is not known yet');
  }
  const answer = `then ${round(durationMs / 1000)} s for the answer`;
  const pauseMs = Math.max(0, notBefore - now);
  const turnMs = pauseMs + (before / startsPerSecond) * 1000;
  const ownMs = maxInFlight === undefined ? 0 : ((ownBefore + (isFull ? 1 : 0)) * durationMs) / maxInFlight;
  if (ownMs > turnMs) {
    return {
      eta_ms: Math.round(ownMs + durationMs),
      eta_basis: `${jobs(ownBefore)} of ${tenant} before it, ${maxInFlight} at a time, ${answer}`,
    };
  }
  return {
    eta_ms: Math.round(turnMs + durationMs),
    eta_basis: `${jobs(before)} before it at ${round(startsPerSecond)} starts per second (${basis}), ${answer}`,
  };
}

function jobs(count: number): string {
  return count === 1 ? '1 job' : `${count} jobs`;
}

function unknownEta(why: string): Eta {
  return { eta_ms: null, eta_basis: why };
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
