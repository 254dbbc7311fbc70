import { derived } from '../async/derived.ts';
import type { Models } from '../config/file.ts';
import { optionsFrom, type StoredOptions } from '../job/stored-options.ts';
import { dispatchFairQueue, pauseTenant, resumeTenant } from '../lua/fair-queue.ts';
import { COST_WITHOUT_LIMIT, PRIORITY_STEP_MS } from '../lua/fair-queue-library.ts';
import { type GiveBackAnswer, giveBackJob } from '../lua/give-back.ts';
import type { RedisClient } from '../redis/connection.ts';
import { jobScriptKeys, type ModelKeys } from '../redis/keys.ts';
import { serverTime } from '../redis/server-time.ts';
import { type BoardLimits, type BoardMeta, boardLimitsFrom } from './board-limits.ts';
import { decodeQueueStatus, encodeQueueStatus, type QueueStatus } from './queue-status.ts';

/**
 * DISPATCHER_LOOKS_EVERY_MS is the longest time between two looks of a dispatcher at an empty queue, in
 * milliseconds. A dispatcher looks even without a signal, because a signal may be lost while a connection is
 * away. A job that is due later than this needs no signal.
 */
export const DISPATCHER_LOOKS_EVERY_MS = 5000;
/** The status expires after this time, in milliseconds, if no dispatcher renews it. */
const STATUS_EXPIRES_MS = 5000;

/** QueuedJob is a job that waits for its turn. */
export interface QueuedJob {
  id: string;
  /** The owner of the job; '' for none. */
  tenant: string;
  /** When the job was enqueued, in Unix milliseconds. */
  createdAt: number;
  /** The priority of the job; 0 goes first. */
  priority: number;
  /** The time (Unix milliseconds) after which the job is not started any more; undefined: none. */
  deadlineAt: number | undefined;
}

/** NextJob is a job whose turn has come. */
export interface NextJob {
  id: string;
  tenant: string;
  options: StoredOptions;
  /** The length of the request as JSON, in bytes. */
  dataBytes: number;
  /** The tenant's tag: the virtual time at which its first job is due. */
  tag: number;
  weight: number;
}

/**
 * GiveBackTarget is the place to which a worker gives back a job: before all other waiting jobs (`first`),
 * into the fair queue, or into the fair queue at a later time, `dueAt` (Unix milliseconds). `delayed` follows
 * a failed attempt; `held` is the same delay without a failed attempt.
 */
export type GiveBackTarget =
  | { kind: 'first' }
  | { kind: 'fair-queue' }
  | { kind: 'delayed' | 'held'; dueAt: number; failedReason: string };

/** BoardRoom is how many jobs may start under the settings of Bull Board. */
export interface BoardRoom {
  /** How many more jobs may start; Infinity: any number. */
  room: number;
  /** In how many milliseconds more jobs may start; 0: not known. */
  waitMs: number;
  limits: BoardLimits;
}

/** ReservedJob is a queued job with a reservation of an upstream model's quota. */
interface ReservedJob {
  id: string;
  tenant: string;
  reservedModel: string;
  /** What the reservation costs the tenant, in minutes of the limits. Default: COST_WITHOUT_LIMIT. */
  cost?: number | undefined;
  /** Input and output that are reserved, in tokens. Default: 0. */
  reservedTokens?: number;
  /** The completion window that the record gets. Default: none is written. */
  completionWindow?: string | undefined;
}

/** QueueLook is what a dispatcher sees of the queue. */
export interface QueueLook {
  board: BoardRoom;
  /** How many started jobs no worker has taken yet. */
  untaken: number;
  /**
   * The milliseconds until there is something to do even without a signal: a delayed job is due, a tenant's
   * pause ends, or a deadline passes; undefined: there is no such time.
   */
  nextInMs: number | undefined;
  /** Whether these are all jobs that may start now. */
  isAll: boolean;
  jobs: NextJob[];
}

/** FairQueue is the queue of one model, in which jobs wait for their turn. */
export interface FairQueue {
  /**
   * giveBack takes an active job from its worker and puts it back among the jobs that have not started.
   *
   * @param lockToken the worker's token of the job's lock.
   * @returns `cancel-requested`: a cancel has been requested, and the worker still holds the job and must end
   * it.
   */
  giveBack(job: QueuedJob, lockToken: string, target: GiveBackTarget): Promise<GiveBackAnswer>;
  /**
   * next returns up to `most` jobs in the order in which they would start, and starts none. Behind them comes
   * the first job of each of up to eight further tenants: such a job may start before jobs that are too large
   * now. Before it reads the jobs, next puts delayed jobs that are due into the queue, and removes entries
   * whose job a BullMQ client has removed.
   *
   * @param passed how many jobs at the head of a tenant's queue are left out, by tenant. Default: none.
   */
  next(most: number, passed?: Readonly<Record<string, number>>): Promise<QueueLook>;
  /**
   * start starts jobs that have a reservation, as many as Bull Board allows. `reservedModel` is the upstream
   * model whose quota is reserved.
   *
   * @returns for each job whether it has started. A job that has left the queue does not start.
   */
  start(jobs: readonly ReservedJob[]): Promise<boolean[]>;
  /** startThenNext does both in one step. @returns `look` is undefined when `most` is 0. */
  startThenNext(
    jobs: readonly ReservedJob[],
    most: number,
  ): Promise<{ started: boolean[]; look: QueueLook | undefined }>;
  /**
   * pauseTenant makes a tenant's jobs wait until `untilMs` (Unix milliseconds) or until resumeTenant. The
   * jobs of other tenants start meanwhile. `reason` is a sentence, or SLOTS_TAKEN.
   */
  pauseTenant(tenant: string, untilMs: number, reason: string): Promise<void>;
  /** resumeTenant ends a tenant's pause. @returns whether the tenant was paused. */
  resumeTenant(tenant: string): Promise<boolean>;
  /** reportStatus writes the status, which expires after some seconds. */
  reportStatus(status: QueueStatus): Promise<void>;
  /** status reads the status; undefined: no dispatcher has written a status in the last seconds. */
  status(): Promise<QueueStatus | undefined>;
  /** starts returns how many jobs have ever been started. */
  starts(): Promise<number>;
}

/** @param settings may change; the weights of tenants are read from it for each look. */
export function createFairQueue(
  redis: RedisClient,
  keys: ModelKeys,
  settings: Pick<Models, 'tenants'>,
): FairQueue {
  const weights = derived(() => settings.tenants, weightsOf);
  const weightOf = (tenant: string): number =>
    Object.hasOwn(settings.tenants, tenant) ? (settings.tenants[tenant]?.weight ?? 1) : 1;
  const { scriptKeys } = keys;
  const dispatch = async (
    reserved: readonly ReservedJob[],
    most: number,
    passed: Readonly<Record<string, number>> = {},
  ) => {
    const reply = await dispatchFairQueue.run(redis, {
      keys: scriptKeys,
      args: {
        most,
        jobPrefix: keys.job(''),
        runPrefix: keys.run(''),
        weights: weights(),
        passed: JSON.stringify(passed),
      },
      rest: reserved.flatMap(
        ({
          id,
          tenant,
          reservedModel,
          reservedTokens = 0,
          cost = COST_WITHOUT_LIMIT,
          completionWindow = '',
        }) => [...[id, tenant, reservedModel, reservedTokens, cost, completionWindow]],
      ),
    });
    const [started, ...seen] = reply as [started: number[], ...seen: LookReply];
    const look = most === 0 ? undefined : lookFrom(seen, most);
    return { started: started.map((one) => one === 1), look };
  };
  const lookFrom = ([[room, waitMs, ...meta], untaken, nextInMs, ...jobs]: LookReply, most: number) => ({
    board: { room: room < 0 ? Number.POSITIVE_INFINITY : room, waitMs, limits: boardLimitsFrom(meta) },
    untaken,
    nextInMs: nextInMs < 0 ? undefined : nextInMs,
    isAll: jobs.length < most,
    jobs: jobs.map(([id, tenant, options, dataBytes, tag]) => ({
      id,
      tenant,
      options: optionsFrom(JSON.parse(options)),
      dataBytes,
      tag: Number(tag),
      weight: weightOf(tenant),
    })),
  });
  return {
    async giveBack(job, lockToken, target) {
      const retry = 'dueAt' in target ? target : { dueAt: '', failedReason: '' };
      const answer = await giveBackJob.run(redis, {
        keys: jobScriptKeys(keys, job.id, job.tenant),
        args: {
          id: job.id,
          lockToken,
          target: target.kind,
          tenant: job.tenant,
          order: orderOf(job),
          deadline: job.deadlineAt ?? '',
          dueAt: retry.dueAt,
          failedReason: retry.failedReason,
          wakeChannel: needsWakeUp(target, serverTime(redis)) ? keys.fairQueue('wake') : '',
        },
      });
      return answer as GiveBackAnswer;
    },
    async next(most, passed) {
      const { look } = await dispatch([], most, passed);
      if (look === undefined) throw new Error(`expected to look at jobs, not at ${most}`);
      return look;
    },
    start: async (jobs) => (jobs.length === 0 ? [] : (await dispatch(jobs, 0)).started),
    startThenNext: (jobs, most) => dispatch(jobs, most),
    async pauseTenant(tenant, untilMs, reason) {
      await pauseTenant.run(redis, { keys: scriptKeys, args: { tenant, untilMs, reason } });
    },
    async resumeTenant(tenant) {
      return (await resumeTenant.run(redis, { keys: scriptKeys, args: { tenant } })) === 1;
    },
    async reportStatus(status) {
      const key = keys.fairQueue('status');
      await redis.pipeline().hset(key, encodeQueueStatus(status)).pexpire(key, STATUS_EXPIRES_MS).exec();
    },
    async status() {
      return decodeQueueStatus(await redis.hgetall(keys.fairQueue('status')));
    },
    async starts() {
      return Number((await redis.hget(keys.fairQueue('clock'), 'starts')) ?? 0);
    },
  };
}

type LookReply = [
  board: [room: number, waitMs: number, ...meta: BoardMeta],
  untaken: number,
  nextInMs: number,
  ...jobs: [id: string, tenant: string, options: string, dataBytes: number, tag: string][],
];

function needsWakeUp(target: GiveBackTarget, now: number): boolean {
  if ('dueAt' in target) return target.dueAt < now + DISPATCHER_LOOKS_EVERY_MS;
  return target.kind === 'fair-queue';
}

/** orderOf returns the score by which a tenant's jobs are ordered; the lowest starts first. */
export function orderOf({ createdAt, priority }: Pick<QueuedJob, 'createdAt' | 'priority'>): number {
  return createdAt + priority * PRIORITY_STEP_MS;
}

/**
 * weightsOf returns the `weights` argument of the scripts: JSON of the weights by tenant, without tenants of
 * weight 1.
 */
export function weightsOf(tenants: Models['tenants']): string {
  const others = Object.entries(tenants).filter(([, { weight }]) => weight !== 1);
  return JSON.stringify(Object.fromEntries(others.map(([tenant, { weight }]) => [tenant, weight])));
}
