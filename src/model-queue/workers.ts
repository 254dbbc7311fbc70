import { beatWorker, leaveWorkers, readWorkers } from '../lua/workers/heartbeats.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';

/** HEARTBEAT_EVERY_MS is the time between two heartbeats of a worker, in milliseconds. */
export const HEARTBEAT_EVERY_MS = 1000;

/**
 * The times that decide about a worker without heartbeats, in milliseconds; `beatWorker` says what each
 * means. They fit together:
 *
 * - `goneMs` is a little longer than the time between two heartbeats. A worker whose connections are closed
 *   and that has not connected again by then has probably died.
 * - `silentMs` is longer than `awayMs` and the time between two heartbeats together. So a Redis that hung
 *   for less than `awayMs` makes no worker silent.
 * - `deadMs` is longer than a living worker needs to connect again: it tries at least once a second.
 * - `pauseMs` outlasts the time between two heartbeats on a very busy machine.
 * - `liveMs` outlasts a pause of the worker's event loop of four seconds.
 * - `keepMs` is longer than the life of a lock. After that no job belongs to the worker any more.
 */
const TIMES = {
  goneMs: 1250,
  silentMs: 3000,
  deadMs: 3000,
  awayMs: 1500,
  pauseMs: 5000,
  liveMs: 6000,
  keepMs: 20_000,
};

/** WorkerDetails is the content of a worker's heartbeat. */
export interface WorkerDetails {
  host: string;
  pid: number;
  version: string;
  /** The most jobs of the model that the worker holds at once. */
  slots: number;
  /** How many jobs of the model the worker holds now. */
  active: number;
  /** Whether Redis can see the worker's connection, by the subscription to its channel. */
  watched: boolean;
}

/** WorkersReading is how many workers of a model live. */
export interface WorkersReading {
  count: number;
  /** How many jobs of the model all these workers together can hold. */
  slots: number;
  /** How many more jobs of the model all these workers together can take now. */
  freeSlots: number;
}

/** WorkerRegister has the heartbeats of the workers that take the jobs of one model. */
export interface WorkerRegister {
  /**
   * channelOf names the channel to which a worker subscribes, so that Redis can see its connection. No
   * messages are sent there.
   */
  channelOf(worker: string): string;
  /**
   * beat records that a worker lives and takes jobs, for the next six seconds. It also takes jobs from
   * workers without heartbeats.
   *
   * @param worker the id of BullMQ's worker, with which the locks of its jobs begin.
   * @param sentAfterMs how long ago the worker sent its last heartbeat, by its own clock; 0 for the first.
   * @param mostRecoveries how often a job may be recovered before it fails.
   * @returns the ids of the jobs that were taken, and that any worker can run now.
   */
  beat(
    worker: string,
    details: WorkerDetails,
    sentAfterMs: number,
    mostRecoveries: number,
  ): Promise<string[]>;
  /** leave removes a worker that takes no more jobs. */
  leave(worker: string): Promise<void>;
  /** read returns the number of workers whose heartbeat has not expired, and their free slots. */
  read(): Promise<WorkersReading>;
}

export function createWorkerRegister(redis: RedisClient, modelKeys: ModelKeys): WorkerRegister {
  const keys = { ...modelKeys.scriptKeys, workerDetails: modelKeys.workerDetails };
  const prefixes = { jobPrefix: modelKeys.job(''), runPrefix: modelKeys.run('') };
  return {
    channelOf: (worker) => `${modelKeys.workers}:${worker}`,
    async beat(worker, details, sentAfterMs, mostRecoveries) {
      const known = { worker, details: JSON.stringify(details), sentAfterMs: Math.round(sentAfterMs) };
      const args = { ...known, ...TIMES, ...prefixes, mostRecoveries };
      return (await beatWorker.run(redis, { keys, args })) as string[];
    },
    async leave(worker) {
      await leaveWorkers.run(redis, { keys, args: { worker } });
    },
    async read() {
      const living = (await readWorkers.run(redis, { keys, args: {} })) as string[];
      const details = living.map((json) => JSON.parse(json) as WorkerDetails);
      return {
        count: details.length,
        slots: details.reduce((sum, { slots }) => sum + slots, 0),
        freeSlots: details.reduce((sum, { slots, active }) => sum + Math.max(0, slots - active), 0),
      };
    },
  };
}
