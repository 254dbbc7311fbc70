import type { ModelConfig } from '../config/file.ts';
import type { Backlog } from '../fair-queue/backlog.ts';
import { BOARD_LIMIT_KINDS } from '../fair-queue/board-limits.ts';
import { lowerLimit } from '../quota/limits.ts';
import type { QuotaLimits } from '../quota/quota.ts';
import { PAUSE_REASONS, type QuotaSnapshot } from '../quota/snapshot.ts';
import { chooseWindow, marginsFor } from '../quota/window-choice.ts';

/**
 * RUNNABLE_LIMITS name what keeps waiting jobs from being runnable: the pause of an upstream model by its
 * reason, the limits of its quota, the limits of tenants, the settings of Bull Board, and a Redis that takes
 * no writes.
 */
export const RUNNABLE_LIMITS = [
  ...PAUSE_REASONS,
  ...(['requests_per_minute', 'tokens_per_minute', 'max_in_flight', 'max_in_flight_windowed'] as const),
  ...(['tenant_limits', 'board_pause', 'board_concurrency', 'board_rate_limit', 'redis_read_only'] as const),
] as const;
export type RunnableLimit = (typeof RUNNABLE_LIMITS)[number];

/** Runnable is how many of a model's waiting jobs would start if there were workers enough. */
export interface Runnable {
  /** Jobs that wait for their turn or for a worker, due ones included. */
  waiting: number;
  /** The part of `waiting` that no limit holds. It needs only workers with room. */
  runnable: number;
  /** What holds the other waiting jobs; null: every waiting job is runnable. */
  limitedBy: RunnableLimit | null;
}

/** RunnableModel is what `runnableOf` needs of one model. */
export interface RunnableModel {
  config: ModelConfig;
  /** The upstream model that the jobs are sent to now. */
  upstreamModel: string;
  backlog: Backlog;
  /** The quota of that upstream model. */
  quota: QuotaSnapshot;
  limits: QuotaLimits;
}

/** The estimate for a job's tokens before the first job of an upstream model has ended. */
const UNKNOWN_TOKENS = 1000;
/** How many characters of a job's data make a token, for a job without an estimate of its own. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * runnableOf says for each model how many of its waiting jobs are runnable. It is what an autoscaler needs: a
 * job that a limit holds would not start with more workers.
 *
 * - The limits per minute count for the whole minute: a job is runnable when this minute has quota left for
 *   it, although the even pace may start it some seconds later. A new worker takes as long to come.
 * - The tokens of a waiting job are estimated: by the mean of the jobs that have ended, or by the input of
 *   the next jobs if that alone is more.
 * - While a model is paused for a circuit breaker, nothing is runnable until the next probe is due. Then one
 *   job is. So a model without workers gets one, and its pause can end.
 * - Models that share an upstream model share its quota. What the models before have used up of it is not
 *   there for the next one, so that the sum is never more than the quota has free.
 * - Workers do not matter, neither their number nor their free slots.
 */
export function runnableOf(models: readonly RunnableModel[]): Runnable[] {
  const promised = new Map<string, number>();
  return models.map((model) => {
    const { backlog, upstreamModel } = model;
    const { takeable, held, board } = backlog;
    const queued = backlog.inFairQueue + backlog.due;
    const waiting = queued + takeable;
    const allowed = Math.max(0, queued - held);
    const before = promised.get(upstreamModel) ?? 0;
    const quota = quotaRoom(model);
    const startable = Math.min(allowed, Math.max(0, quota.room - before));
    const runnable = Math.min(board.room, takeable + startable);
    promised.set(upstreamModel, before + Math.max(0, runnable - takeable));
    const limitedBy = (): RunnableLimit | null => {
      if (runnable === waiting) return null;
      if (runnable < takeable + startable) return `board_${board.kind ?? BOARD_LIMIT_KINDS[0]}`;
      return startable < allowed ? quota.limitedBy : 'tenant_limits';
    };
    return { waiting, runnable, limitedBy: limitedBy() };
  });
}

interface Room {
  /** How many jobs may start; Infinity: any number. */
  room: number;
  /** The limit that allows the fewest. */
  limitedBy: RunnableLimit;
}

function quotaRoom(model: RunnableModel): Room {
  const { limits, quota, backlog } = model;
  const pause = quota.pauses.find(({ until }) => until > quota.at);
  if (pause !== undefined) return { room: 0, limitedBy: pause.reason };
  const requests = lowerLimit(limits.requestsPerMinute, quota.advertisedRequests);
  const tokens = lowerLimit(limits.tokensPerMinute, quota.advertisedTokens);
  const rooms: Room[] = [
    ...quota.pauses.map(({ reason }): Room => ({ room: 1, limitedBy: reason })),
    { room: requests === undefined ? Infinity : requests - quota.requests, limitedBy: 'requests_per_minute' },
    { room: tokenRoom(tokens, quota, backlog), limitedBy: 'tokens_per_minute' },
    placeRoom(model),
  ];
  const least = rooms.reduce((least, each) => (each.room < least.room ? each : least));
  return { ...least, room: Math.max(0, least.room) };
}

/** A job that needs more than the limit is sent when nothing else counts in the minute. */
function tokenRoom(limit: number | undefined, quota: QuotaSnapshot, { next }: Backlog): number {
  if (limit === undefined) return Infinity;
  const inputs = next.map(({ need, dataBytes }) => need?.input ?? dataBytes / CHARACTERS_PER_TOKEN);
  const meanInput = inputs.reduce((sum, input) => sum + input, 0) / Math.max(1, inputs.length);
  const need = Math.max(1, quota.meanTokens ?? UNKNOWN_TOKENS, meanInput);
  return Math.max(Math.floor((limit - quota.tokens) / need), quota.tokens <= 0 ? 1 : 0);
}

/** Places in flight: the next jobs show whether those within a completion window are of any use. */
function placeRoom({ config, upstreamModel, limits, quota, backlog }: RunnableModel): Room {
  const { maxInFlight = Infinity, maxInFlightWindowed = Infinity } = limits;
  const chosen = backlog.next.map(({ need = {} }) =>
    chooseWindow(need, need.by === undefined ? undefined : need.by - quota.at, {
      ...{ model: config, upstreamModel, marginMs: marginsFor(quota.lateness) },
      isRefused: quota.noWindowsUntil !== undefined,
    }),
  );
  const windowed = chosen.filter((window) => window !== undefined).length;
  const hasOrdinary = windowed === 0 || windowed < chosen.length;
  const ordinaryRoom = hasOrdinary ? Math.max(0, maxInFlight - (quota.inFlight - quota.inFlightWindowed)) : 0;
  const windowedRoom = windowed > 0 ? Math.max(0, maxInFlightWindowed - quota.inFlightWindowed) : 0;
  return {
    room: ordinaryRoom + windowedRoom,
    limitedBy: hasOrdinary ? 'max_in_flight' : 'max_in_flight_windowed',
  };
}
