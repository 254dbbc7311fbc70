import { beatWorker, leaveWorkers, readWorkers } from '../lua/workers/heartbeats.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';

/** HEARTBEAT_EVERY_MS is the time between two heartbeats of a worker, in milliseconds. */
export const HEARTBEAT_EVERY_MS = 2000;
/**
 * A heartbeat expires after this time, in milliseconds. It outlasts two lost heartbeats, or a pause of the
 * worker's event loop of four seconds.
 */
const HEARTBEAT_LIVES_MS = 6000;

/** WorkerDetails is the content of a worker's heartbeat. */
export interface WorkerDetails {
  host: string;
  pid: number;
  version: string;
  /** The most jobs of the model that the worker holds at once. */
  slots: number;
  /** How many jobs of the model the worker holds now. */
  active: number;
}

/** WorkersReading is how many workers of a model live. */
export interface WorkersReading {
  count: number;
  /** How many more jobs of the model all these workers together can take now. */
  freeSlots: number;
}

/** WorkerRegister has the heartbeats of the workers that take the jobs of one model. */
export interface WorkerRegister {
  /** beat records that a worker lives and takes jobs, for the next six seconds. */
  beat(worker: string, details: WorkerDetails): Promise<void>;
  /** leave removes a worker that takes no more jobs. */
  leave(worker: string): Promise<void>;
  /** read returns the number of workers whose heartbeat has not expired, and their free slots. */
  read(): Promise<WorkersReading>;
}

export function createWorkerRegister(redis: RedisClient, modelKeys: ModelKeys): WorkerRegister {
  const keys = { workers: modelKeys.workers, workerDetails: modelKeys.workerDetails };
  return {
    async beat(worker, details) {
      const args = { worker, details: JSON.stringify(details), liveMs: HEARTBEAT_LIVES_MS };
      await beatWorker.run(redis, { keys, args });
    },
    async leave(worker) {
      await leaveWorkers.run(redis, { keys, args: { worker } });
    },
    async read() {
      const living = (await readWorkers.run(redis, { keys, args: {} })) as string[];
      const details = living.map((json) => JSON.parse(json) as WorkerDetails);
      return {
        count: details.length,
        freeSlots: details.reduce((sum, { slots, active }) => sum + Math.max(0, slots - active), 0),
      };
    },
  };
}
