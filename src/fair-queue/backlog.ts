import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import { readBacklog } from '../lua/workers/backlog.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { type BoardLimitKind, type BoardLimits, type BoardMeta, boardLimitsFrom } from './board-limits.ts';

/** Backlog is what waits in the queue of one model at one instant, on the clock of Redis. */
export interface Backlog {
  /** The time of the reading, in Unix milliseconds. */
  at: number;
  /** Jobs in the fair queue. */
  inFairQueue: number;
  /** Delayed jobs that are due. A dispatcher puts them into the fair queue; without a worker they stay here. */
  due: number;
  /**
   * Jobs that need only a worker: started ones, released ones, whose responses still run, and jobs of other
   * BullMQ clients before a worker puts them into the fair queue.
   */
  takeable: number;
  /** The part of `inFairQueue` that waits because its tenants are paused. */
  held: number;
  /** Jobs that workers hold. */
  active: number;
  board: {
    limits: BoardLimits;
    /** How many of all waiting jobs workers may take under these settings; Infinity: any number. */
    room: number;
    /** The setting that allows no more; undefined: none. */
    kind: BoardLimitKind | undefined;
  };
  /**
   * Since when the oldest waiting job waits, in Unix milliseconds; undefined: no job waits. That is its
   * creation, also for a job that was delayed or has failed attempts. The job is sought among the first jobs of
   * up to 200 tenants that are next and of as many that are paused.
   */
  oldestAt: number | undefined;
  /** The first job of each of up to eight tenants that are next. */
  next: { need: StoredOptions['need']; dataBytes: number }[];
}

type BacklogReply = [
  ...[at: number, inFairQueue: number, due: number, takeable: number, held: number, active: number],
  ...[room: number, kind: BoardLimitKind | '', meta: BoardMeta, oldestAt: number],
  ...next: [options: string, dataBytes: number][],
];

/** backlogOf reads the Backlog of one model. It costs the same for any number of jobs, and writes nothing. */
export async function backlogOf(redis: RedisClient, keys: ModelKeys): Promise<Backlog> {
  const reply = await readBacklog.run(redis, { keys: keys.scriptKeys, args: { jobPrefix: keys.job('') } });
  const [at, inFairQueue, due, takeable, held, active, room, kind, meta, oldestAt, ...next] =
    reply as BacklogReply;
  return {
    ...{ at, inFairQueue, due, takeable, held, active },
    board: {
      limits: boardLimitsFrom(meta),
      room: room < 0 ? Number.POSITIVE_INFINITY : room,
      kind: kind === '' ? undefined : kind,
    },
    oldestAt: oldestAt < 0 ? undefined : oldestAt,
    next: next.map(([options, dataBytes]) => ({ need: needIn(options), dataBytes })),
  };
}

/** Another BullMQ client may have written anything there. */
function needIn(options: string): StoredOptions['need'] {
  try {
    return optionsFrom(JSON.parse(options)).need;
  } catch {
    return undefined;
  }
}
