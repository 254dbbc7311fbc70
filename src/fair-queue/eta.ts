import {
  type BoardLimitKind,
  type BoardLimits,
  concurrencyText,
  jobsText,
  NO_BOARD_LIMITS,
  rateText,
} from './board-limits.ts';
import { decodeQueueStatus, type QueueStatus } from './queue-status.ts';

/**
 * Position is a job's place in the fair queue of its model, with what is needed to estimate when the job is
 * answered.
 */
export interface Position {
  /** How many jobs start before this one, if nothing changes. */
  before: number;
  /** How many of these jobs belong to the same tenant as this one. */
  ownBefore: number;
  /**
   * The pause of the job's tenant, whose jobs wait while others start; `until` is in Unix milliseconds.
   * undefined: the tenant is not paused.
   */
  pause: { reason: TenantPauseReason; until: number } | undefined;
  /** The status of the queue; undefined: no dispatcher runs. */
  status: QueueStatus | undefined;
}

/**
 * SLOTS_TAKEN is the reason for the pause of a tenant that has as many jobs in flight as it may. No other
 * reason of a pause affects the estimate.
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

/** Hindrance is why no job of a model starts at all. */
export interface Hindrance {
  /** The setting of Bull Board that allows no start; undefined: none. */
  board: BoardLimitKind | undefined;
  limits: BoardLimits;
  /** Whether no worker that takes the model's jobs has a heartbeat. */
  noWorker: boolean;
}

export const NO_HINDRANCE: Hindrance = {
  board: undefined,
  limits: NO_BOARD_LIMITS,
  noWorker: false,
};

/** waitingOutside says what a job outside the fair queue waits for. */
export function waitingOutside(hindrance: Hindrance): Waiting {
  return {
    waiting_for: hindranceText(hindrance) ?? 'a free worker',
    position: null,
    eta_ms: null,
    eta_basis: null,
  };
}

/**
 * waitingForChildren says what a flow's parent waits for. It has no position before its children have ended.
 */
export function waitingForChildren(count: number): Waiting {
  return {
    waiting_for: count === 1 ? '1 child job' : `${count} child jobs`,
    position: null,
    eta_ms: null,
    eta_basis: null,
  };
}

/** hindranceText names what a job waits for when no job of the model starts; undefined: jobs can start. */
function hindranceText({ board, limits, noWorker }: Hindrance): string | undefined {
  const { concurrency, rate_limit: rate } = limits;
  if (board === 'pause') return 'the queue to be resumed: it is paused on Bull Board';
  if (noWorker) return 'a worker: none is running';
  if (board === 'concurrency' && concurrency !== null)
    return `the limit of ${concurrencyText(concurrency)}, set on Bull Board`;
  if (board === 'rate_limit' && rate !== null) return `the limit of ${rateText(rate)}, set on Bull Board`;
  return undefined;
}

/**
 * PositionOwner is the tenant of a queued job, and how many jobs that tenant may have in flight; undefined:
 * any number.
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
  if (hindrance.board === 'pause' || hindrance.noWorker || status === undefined)
    return { ...waitingOutside(hindrance), position };
  const turn = before === 0 ? 'its start' : `its turn: ${jobsText(before)} before it`;
  const reason = hindranceText(hindrance) ?? (status.reason || turn);
  return {
    waiting_for: pause === undefined ? reason : pauseSentence(pause.reason, owner),
    position,
    ...etaOf(place, status, owner, now),
  };
}

/** pauseSentence says why a tenant is paused. */
export function pauseSentence(reason: TenantPauseReason, { tenant, maxInFlight }: PositionOwner): string {
  if (reason !== SLOTS_TAKEN) return reason;
  return `tenant ${tenant} is at its limit of ${maxInFlight === undefined ? 'jobs' : jobsText(maxInFlight)} in flight`;
}

type Eta = Pick<Waiting, 'eta_ms' | 'eta_basis'>;

/**
 * etaOf estimates the time until the answer: the time until the job's turn plus the mean duration of an
 * answer. The time until the turn depends on the speed of the queue, or on the tenant's limit of jobs in
 * flight if that takes longer.
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
      eta_basis: `${jobsText(ownBefore)} of ${tenant} before it, ${maxInFlight} at a time, ${answer}`,
    };
  }
  return {
    eta_ms: Math.round(turnMs + durationMs),
    eta_basis: `${jobsText(before)} before it at ${round(startsPerSecond)} starts per second (${basis}), ${answer}`,
  };
}

function unknownEta(why: string): Eta {
  return { eta_ms: null, eta_basis: why };
}

function round(value: number): number {
  return Number(value.toPrecision(2));
}
